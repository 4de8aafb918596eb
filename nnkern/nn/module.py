"""Module: the base of all layers. Names, order and behaviour follow torch.nn.Module.

Parameters, buffers and submodules are ordinary attributes (reading one costs no more than that) and stand in
`_parameters`, `_buffers` and `_modules` as well, which __setattr__ keeps in step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import device as _device
from ..tensor import RemovableHandle, Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .hooks import Hooks


class LoadResult(NamedTuple):
    """What load_state_dict found missing and what it could not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def fuses_relu(forward: Any) -> Any:
    """Marks a forward that takes activation="relu": Sequential leaves the ReLU behind it to it."""
    forward.fuses_relu = True
    return forward


class Module:
    """A layer or a network: subclass it, create parameters and submodules in __init__, compute in forward."""

    training: bool
    # A value is None where None was registered: it keeps the name's place.
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]  # Module | None
    _unsaved: set[str]  # names of buffers that state_dict leaves out
    _hooks: Hooks | None = None  # None as long as no hook is registered: calls then go straight to forward

    def __init__(self) -> None:
        d = self.__dict__
        d["training"] = True
        d["_parameters"] = {}
        d["_buffers"] = {}
        d["_modules"] = {}
        d["_unsaved"] = set()

    if TYPE_CHECKING:  # parameters, buffers and submodules

        def __getattr__(self, name: str) -> Any: ...

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    # --- registration ---------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if isinstance(value, (Parameter, Module)):
            if "_modules" not in d:
                raise AttributeError(f"call super().__init__() before setting {type(self).__name__}.{name}")
            self._register("_parameters" if isinstance(value, Parameter) else "_modules", name, value)
            return
        for kind, expected in (
            ("_parameters", "a Parameter"),
            ("_modules", "a Module"),
            ("_buffers", "a Tensor"),
        ):
            if name in d.get(kind, ()):
                if value is not None and not (kind == "_buffers" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{type(self).__name__}.{name} must be {expected} or None, not {type(value).__name__}"
                    )
                d[kind][name] = value
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._forget(name)
        object.__delattr__(self, name)

    def _forget(self, name: str, but: str = "") -> None:
        for kind in ("_parameters", "_buffers", "_modules"):
            if kind != but:
                self.__dict__[kind].pop(name, None)
        self._unsaved.discard(name)

    def _register(self, kind: str, name: str, value: Any) -> None:
        self._forget(name, but=kind)  # what is replaced by its own kind keeps its place in the order
        self.__dict__[kind][name] = value
        object.__setattr__(self, name, value)

    def _check_name(self, kind: str, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"a name of a parameter, buffer or module must be a str, not {type(name).__name__}"
            )
        if not name or "." in name:
            raise KeyError(f"a name of a parameter, buffer or module can't be {name!r}")
        if name in self.__dict__ and name not in self.__dict__[kind]:
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    def _check_kind(self, name: str, value: Any, kind: type) -> None:
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}.{name} must be a {kind.__name__} or None, not {type(value).__name__}"
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        self._check_name("_parameters", name)
        self._check_kind(name, param, Parameter)
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """A Tensor that belongs to the module's state but is not trained (running averages and the like)."""
        self._check_name("_buffers", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            tensor = Tensor(tensor)
        self._register("_buffers", name, tensor)
        if not persistent:
            self._unsaved.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        self._check_name("_modules", name)
        self._check_kind(name, module, Module)
        self._register("_modules", name, module)

    register_module = add_module

    # --- walking --------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(name, module) of this module and all below it."""
        memo = set() if memo is None else memo
        if remove_duplicate and id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules right below, each once even if shared."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(name, Parameter), each once even if shared."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path."""
        module = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(
                    f"{type(module).__name__} has no submodule {name!r} (looking for {target!r})"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path."""
        return self._get("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        return self._get("_buffers", "buffer", target)

    def _get(self, kind: str, word: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, kind).get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {word} {name!r} (looking for {target!r})")
        return found

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Calls fn(module) for all modules below, then for this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # --- state ----------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        """{dotted name: Tensor} of all parameters and persistent buffers, shared ones under each name."""
        state = {}
        for path, module in self.named_modules(remove_duplicate=False):
            for name, value in chain(module._parameters.items(), module._buffers.items()):
                if value is not None and name not in module._unsaved:
                    state[f"{path}.{name}" if path else name] = value
        return state

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """{name: array}: PyTorch's names and layouts. The arrays are the module's own memory, not copies.

        keep_vars: the Parameters and buffers themselves in place of their arrays.
        """
        return {prefix + name: t if keep_vars else t.data for name, t in self._state().items()}

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copies arrays (or Tensors, or torch tensors) into the parameters and buffers of the same names.

        With assign the arrays themselves take the place of the old ones, in their own dtypes: no copy is made; without
        it other float dtypes are converted. Nothing is changed if a shape differs or, when strict, a name is missing or
        unexpected: the RuntimeError lists them all.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: a dict of arrays is needed, got {type(state_dict).__name__}")
        own = self._state()
        given = {k: _as_array(k, v) for k, v in state_dict.items()}
        missing = [k for k in own if k not in given]
        unexpected = [k for k in given if k not in own]
        problems = [
            f"{k} has shape {given[k].shape} but {own[k].shape} is needed"
            for k in own
            if k in given and given[k].shape != own[k].shape
        ]
        problems += [
            f"{k} is {given[k].dtype} but {own[k].dtype} is needed"
            for k in own
            if k in given and not _loadable(given[k].dtype, own[k], assign)
        ]
        if strict and unexpected:
            problems.insert(0, f"unexpected: {', '.join(unexpected)}")
        if strict and missing:
            problems.insert(0, f"missing: {', '.join(missing)}")
        if problems:
            raise RuntimeError(f"load_state_dict of {type(self).__name__}:\n  " + "\n  ".join(problems))
        for k, t in own.items():
            if k in given and assign:
                t.data = given[k]
            elif k in given:
                np.copyto(t.data, given[k], casting="same_kind")
        return LoadResult(missing, unexpected)

    def train(self, mode: bool = True) -> Module:
        """Switches this module and all below it to training (or, with False, to inference)."""
        if not isinstance(mode, (bool, np.bool_)):
            raise TypeError(f"train: mode must be True or False, got {type(mode).__name__}")
        for m in self.modules():
            m.__dict__["training"] = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.data[...] = 0

    def to(self, *args: Any, device: Any = None, dtype: Any = None) -> Module:
        """to(dtype) converts the floating parameters and buffers in place; to("cpu") checks the device."""
        for a in args:
            if isinstance(a, str) and a.split(":")[0] in ("cpu", "cuda"):
                device = a
            else:
                dtype = a
        _device.check_device(device)
        if dtype is not None:
            dtype = _device.numpy_dtype(dtype)
            if dtype not in (np.float32, np.float64):
                raise TypeError(f"to: parameters can be float32 or float64, not {dtype}")
            for t in chain(self.parameters(), self.buffers()):
                if t.data.dtype.kind == "f":
                    t.data = t.data.astype(dtype, copy=False)
                    if t.grad is not None:
                        t.grad.data = t.grad.data.astype(dtype, copy=False)
        return self

    def float(self) -> Module:
        return self.to(np.float32)

    def double(self) -> Module:
        return self.to(np.float64)

    def cpu(self) -> Module:
        return self

    # --- hooks ----------------------------------------------------------------------------------------------

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            from .hooks import Hooks

            hooks = self.__dict__["_hooks"] = Hooks()
            return hooks
        return self._hooks

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(module, args) before forward; a value it returns replaces args."""
        return RemovableHandle(self._own_hooks().pre, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(module, args, output) after forward; a value it returns replaces the output."""
        return RemovableHandle(self._own_hooks().post, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """hook(module, grad_input, grad_output), tuples; a tuple it returns replaces grad_input."""
        return RemovableHandle(self._own_hooks().backward, hook)

    # --- text -----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        for name, child in self._modules.items():
            lines.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        name = type(self).__name__
        if not self._modules and len(lines) <= 1:
            return f"{name}({extra})"
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)"

    def __deepcopy__(self, memo: dict[int, Any]) -> Module:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        if self._hooks is not None:
            copied.__dict__["_hooks"] = copy.deepcopy(self._hooks, memo)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: all but the hooks, which are functions of the running program."""
        state = self.__dict__.copy()
        state.pop("_hooks", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _loadable(dtype: np.dtype, own: Tensor, assign: bool) -> bool:
    if assign:
        return dtype in (np.float32, np.float64) or not own.requires_grad
    return np.can_cast(dtype, own.dtype, "same_kind")


def _as_array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.data
    if _device.is_torch(value):
        value = value.detach()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not have
            value = value.float()
    return _device.to_ndarray(value, f"load_state_dict: {name}")
