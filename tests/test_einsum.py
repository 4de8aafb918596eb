"""einsum against NumPy's and PyTorch's over many equations; tensordot and kron; gradients of both orders."""

import numpy as np
import pytest
from support import assert_close, check_gradient, check_torch, randn

import nnkern as F
from nnkern import Tensor, gradgradcheck

EQUATIONS = [
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ij->j", [(3, 4)]),
    ("ii", [(4, 4)]),
    ("ii->i", [(4, 4)]),
    ("iji->ij", [(3, 2, 3)]),
    ("iij,jk->ik", [(3, 3, 2), (2, 4)]),
    ("i,j->ij", [(3,), (4,)]),
    ("i,i", [(3,), (3,)]),
    ("ij,ij->i", [(3, 4), (3, 4)]),
    ("ij,ij->ij", [(3, 4), (3, 4)]),
    ("blhd,bshd->bhls", [(2, 3, 4, 5), (2, 6, 4, 5)]),
    ("bhls,bshd->blhd", [(2, 4, 3, 6), (2, 6, 4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
    ("...ij,jk", [(2, 3, 4), (4, 5)]),
    ("i...->...", [(2, 3, 4)]),
    ("bi,oij,bj->bo", [(2, 3), (4, 3, 5), (2, 5)]),
    ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
    ("ab,cd->", [(2, 3), (4, 5)]),
    ("ab,cd,ef->ace", [(2, 3), (4, 5), (2, 2)]),
    ("abc,abc,abc->b", [(2, 3, 4)] * 3),
    ("abcd,dcba->", [(2, 3, 4, 5), (5, 4, 3, 2)]),
    ("a,ab,abc->abc", [(2,), (2, 3), (2, 3, 4)]),
    ("ij , jk -> ki", [(3, 4), (4, 5)]),
    ("Ab,bC->AC", [(3, 4), (4, 5)]),
    (",i->i", [(), (3,)]),
    ("ij,jk->ik", [(0, 4), (4, 5)]),
    ("ij,jk->ik", [(3, 0), (0, 5)]),
]


@pytest.mark.parametrize("equation, shapes", EQUATIONS, ids=str)
def test_equals_numpy_and_torch(equation, shapes):
    torch = pytest.importorskip("torch")
    xs = [randn(*s, seed=i) for i, s in enumerate(shapes)]
    assert_close(F.einsum(equation, *xs), np.asarray(np.einsum(equation.replace(" ", ""), *xs)), "chain", 200)
    assert_close(F.einsum(equation, *[x.T.copy().T for x in xs]), F.einsum(equation, *xs), "chain", 200)
    check_torch(
        lambda *a: F.einsum(equation, *a), lambda *a: torch.einsum(equation, *a), *xs, kind="chain", n=200
    )


@pytest.mark.parametrize("equation, shapes", EQUATIONS[:26], ids=str)
def test_gradients(equation, shapes):
    check_gradient(lambda *a: F.einsum(equation, *a), *[randn(*s, seed=i) for i, s in enumerate(shapes)])


def test_second_derivatives():
    xs = [Tensor(randn(*s).astype(np.float64), requires_grad=True) for s in ((2, 3), (4, 3, 2), (2, 2))]
    assert gradgradcheck(lambda *a: F.einsum("bi,oij,bj->bo", *a), xs)
    assert gradgradcheck(lambda a: F.einsum("ii->i", F.mul(a, a)), [xs[2]])


def test_lengths_of_one_broadcast():
    torch = pytest.importorskip("torch")
    for equation, shapes in [("ij,jk->ik", [(3, 1), (4, 5)]), ("bij,bjk->bik", [(1, 2, 3), (4, 3, 2)])]:
        xs = [randn(*s) for s in shapes]
        want = torch.einsum(equation, *map(torch.from_numpy, xs)).numpy()
        assert_close(F.einsum(equation, *xs), want, "chain", 20)


def test_operands_in_a_list_and_kinds():
    x = randn(3, 4)
    np.testing.assert_array_equal(F.einsum("ij->i", [x]), F.einsum("ij->i", x))
    assert isinstance(F.einsum("ij->i", Tensor(x)), Tensor)


def test_numbers_for_letters():
    x, y = randn(2, 3), randn(3, 4)
    np.testing.assert_array_equal(F.einsum(x, [0, 1], y, [1, 2], [0, 2]), F.einsum("ij,jk->ik", x, y))
    torch = pytest.importorskip("torch")
    for a in ((x, [30, 1]), (x, [..., 1], y, [1, 0]), (randn(3, 3), [2, 2]), (x, (0, 1), [1, 0])):
        theirs = torch.einsum(*[torch.tensor(v) if isinstance(v, np.ndarray) else v for v in a])
        np.testing.assert_allclose(F.einsum(*a), theirs, rtol=1e-5, atol=1e-6)


def test_tensordot_and_kron():
    torch = pytest.importorskip("torch")
    a, b = randn(3, 4, 5), randn(4, 5, 6)
    check_torch(
        lambda x, y: F.tensordot(x, y, 2), lambda x, y: torch.tensordot(x, y, 2), a, b, kind="chain", n=20
    )
    dims = ([0, 2], [2, 1])
    b = randn(2, 5, 3)
    check_torch(
        lambda x, y: F.tensordot(x, y, dims),
        lambda x, y: torch.tensordot(x, y, dims),
        a,
        b,
        kind="chain",
        n=20,
    )
    check_torch(F.kron, torch.kron, randn(2, 3), randn(4, 2), kind="chain", n=9)
    check_torch(F.kron, torch.kron, randn(2, 2, 3), randn(4), kind="chain", n=9)


X = randn(2, 3)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: F.einsum("ij,jk->ik", X), "names 2 operands, got 1"),
        (lambda: F.einsum("ijk->i", X), r"'ijk' does not fit operand 0 \(shape \(2, 3\)\)"),
        (lambda: F.einsum("ij,jk->ik", X, X), r"'j' in 'ij,jk->ik' is both 3 and 2 long"),
        (
            lambda: F.einsum("aa", randn(2, 1)),
            r"'a' in 'aa' is both 2 and 1 long|both 1 and 2 long .*\(2, 1\)",
        ),
        (lambda: F.einsum(X, [0, 52]), r"dims must be lists of numbers in \[0, 52\), got \[0, 52\]"),
        (lambda: F.einsum(X), "without an equation dims must be lists .* got ndarray"),
        (lambda: F.einsum("ij->k", X), "'k' must stand once"),
        (lambda: F.einsum("ij->ii", X), "'i' must stand once"),
        (lambda: F.einsum("i2->i", X), "must be letters"),
        (lambda: F.einsum("ij"), "at least one operand"),
        (lambda: F.tensordot(X, X, ([0], [1])), "must be equally long"),
    ],
)
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()
