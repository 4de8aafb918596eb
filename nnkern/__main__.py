from nnkern.cli import main

main()
