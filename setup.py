"""The build: one C++ source per kernel compiled once per instruction set, bound into one extension.

Environment: NNKERN_BUILD_JOBS (parallel compiles), NNKERN_CXXFLAGS / NNKERN_LDFLAGS (appended; sanitizers use them),
NNKERN_CUDA (reserved: auto, 0, 1 or wheel; this version builds no CUDA code).
"""

import os
import platform
import shlex
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import editable_wheel

X86 = platform.machine() in ("x86_64", "AMD64")
BASELINE = ["-march=x86-64-v2"] if X86 else []
ISA_FLAGS = {"scalar": BASELINE}
if X86:
    ISA_FLAGS["avx2"] = ["-march=x86-64-v3"]
    ISA_FLAGS["avx512"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
elif platform.machine() == "aarch64":
    ISA_FLAGS["neon"] = []

CXXFLAGS = ["-std=c++17", "-O3", "-g0", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread", "-Icsrc"]
# Kernels may contract a*b+c; they never see -ffast-math, which would leak flush-to-zero into the whole process.
KERNEL_FLAGS = [
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-exceptions",
    "-fno-asynchronous-unwind-tables",  # nothing is thrown through kernels: a smaller wheel
    "-fno-rtti",
    "-Wno-maybe-uninitialized",
    "-Wno-uninitialized",
]  # GCC 12 warns about its own AVX-512 headers


def compile_units(compiler, python_includes):
    """(source, object name, command) of every object of the _cpu extension."""
    cxx = list(getattr(compiler, "compiler_so_cxx", None) or compiler.compiler_so)
    common = [*cxx, *CXXFLAGS, *shlex.split(os.environ.get("NNKERN_CXXFLAGS", ""))]
    plain = [
        Path("csrc/view.cpp"),
        Path("csrc/memory.cpp"),
        Path("csrc/parallel.cpp"),
        Path("csrc/simd/dispatch.cpp"),
    ]
    plain += sorted(p for p in Path("csrc/cpu").glob("*.cpp") if p.name != "module.cpp")
    units = [
        (Path(f"csrc/simd/isa_{isa}_{dtype}.cpp"), [*common, *KERNEL_FLAGS, *flags])
        for isa, flags in reversed(ISA_FLAGS.items())  # the longest first
        for dtype in ("f32", "f64")
    ]
    # Only the binding sees Python's headers: an isolated build's throw-away paths must not make kernels recompile.
    units.append((Path("csrc/cpu/module.cpp"), [*common, *BASELINE, *(f"-I{p}" for p in python_includes)]))
    return units + [(p, [*common, *BASELINE]) for p in plain]


def is_stale(obj, depfile, command):
    """True if the object is missing, was built by another command, or is older than a header that it included."""
    stamp = obj.with_suffix(".cmd")
    if not (obj.exists() and depfile.exists() and stamp.exists() and stamp.read_text() == command):
        return True
    built = obj.stat().st_mtime_ns
    sources = depfile.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    return any(not os.path.exists(f) or os.stat(f).st_mtime_ns > built for f in sources)


class BuildExt(build_ext):
    """Compiles the objects itself: setuptools can't give one source several sets of flags."""

    def initialize_options(self):
        super().initialize_options()
        self.cython_c_in_temp = True  # generated C stays out of the source tree

    def compile_objects(self, units):
        folder = Path("build") / ("obj-" + sysconfig.get_config_var("SOABI"))

        def compile_one(unit):
            source, argv = unit
            obj = folder / source.with_suffix(".o").as_posix().replace("/", "_")
            obj.parent.mkdir(parents=True, exist_ok=True)
            depfile = obj.with_suffix(".d")
            argv = [*argv, "-MMD", "-MF", str(depfile), "-c", str(source), "-o", str(obj)]
            if is_stale(obj, depfile, shlex.join(argv)):
                print("nnkern:", source, flush=True)
                subprocess.run(argv, check=True)
                obj.with_suffix(".cmd").write_text(shlex.join(argv))
            return str(obj)

        jobs = int(os.environ.get("NNKERN_BUILD_JOBS") or len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(compile_one, units))

    def run(self):
        self.for_checkout = self.inplace or self.editable_mode  # the base class forgets inplace meanwhile
        super().run()

    def build_extensions(self):
        ext = next(e for e in self.extensions if e.name == "nnkern._cpu")
        includes = [
            pybind11.get_include(),
            numpy.get_include(),
            *self.compiler.include_dirs,
            *self.include_dirs,
        ]
        ext.extra_objects = ext.depends = self.compile_objects(compile_units(self.compiler, includes))
        # A wheel goes without the names of kernels, 2 % of its size; profilers find them in a checkout's build.
        names = [] if self.for_checkout else ["-Wl,-s"]
        ext.extra_link_args = ["-pthread", *names, *shlex.split(os.environ.get("NNKERN_LDFLAGS", ""))]
        super().build_extensions()


class EditableWheel(editable_wheel):
    """A plain .pth instead of an import hook, so that other packages can also cimport an editable nnkern."""

    def finalize_options(self):
        self.mode = self.mode or "compat"
        super().finalize_options()


setup(
    ext_modules=[
        Extension("nnkern._cpu", [], language="c++"),
        Extension("nnkern.function", ["nnkern/function.pyx"], extra_compile_args=["-O2", "-g0"]),
    ],
    cmdclass={"build_ext": BuildExt, "editable_wheel": EditableWheel},
)
