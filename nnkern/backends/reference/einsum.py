"""einsum is made of matmul, products and sums: it has no kernel of its own. numpy.einsum is its definition."""
