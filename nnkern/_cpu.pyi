"""
CPU kernels of nnkern. Private: call the functions of nnkern instead.
"""

from __future__ import annotations
import collections.abc
import numpy
import typing

__all__: list[str] = [
    "abs_forward",
    "adam_step",
    "add_forward",
    "all_forward",
    "alpha_dropout_backward",
    "alpha_dropout_forward",
    "amax_forward",
    "amin_forward",
    "any_forward",
    "argmax_forward",
    "argmin_forward",
    "attention_backward",
    "attention_forward",
    "available_isas",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "cat_forward",
    "ceil_forward",
    "clamp_forward",
    "conv_algorithm",
    "conv_forward",
    "conv_input_grad",
    "conv_weight_grad",
    "copy_forward",
    "cos_forward",
    "cosh_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "ctc_loss_backward",
    "ctc_loss_forward",
    "cumprod_backward",
    "cumprod_forward",
    "cumsum_forward",
    "div_forward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "embedding_backward",
    "embedding_bag_forward",
    "embedding_forward",
    "empty_cache",
    "eq_forward",
    "erf_forward",
    "exp2_forward",
    "exp_forward",
    "expm1_forward",
    "floor_forward",
    "fold_forward",
    "fractional_max_pool_forward",
    "gather_forward",
    "ge_forward",
    "geglu_backward",
    "geglu_forward",
    "geglu_tanh_backward",
    "geglu_tanh_forward",
    "gelu_forward",
    "gelu_grad_forward",
    "gelu_tanh_forward",
    "gelu_tanh_grad_forward",
    "glu_backward",
    "glu_forward",
    "grid_sample_backward",
    "grid_sample_forward",
    "group_norm_backward",
    "group_norm_forward",
    "gt_forward",
    "hardshrink_backward",
    "hardshrink_forward",
    "hardsigmoid_backward",
    "hardsigmoid_forward",
    "hardswish_backward",
    "hardswish_forward",
    "hardtanh_backward",
    "hardtanh_forward",
    "index_add_forward",
    "interpolate_forward",
    "isa",
    "isfinite_forward",
    "isinf_forward",
    "isnan_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "le_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_forward",
    "local_response_norm_backward",
    "local_response_norm_forward",
    "log10_forward",
    "log1p_forward",
    "log2_forward",
    "log_forward",
    "logical_and_forward",
    "logical_not_forward",
    "logical_or_forward",
    "logical_xor_forward",
    "logsigmoid_backward",
    "logsigmoid_forward",
    "lt_forward",
    "margin_loss_backward",
    "margin_loss_forward",
    "matmul_forward",
    "matmul_packed_forward",
    "max_pool_backward",
    "max_pool_forward",
    "max_unpool_forward",
    "maximum_forward",
    "maxout_backward",
    "maxout_forward",
    "mean_forward",
    "memory_stats",
    "minimum_forward",
    "mish_backward",
    "mish_forward",
    "mul_forward",
    "ne_forward",
    "neg_forward",
    "nll_loss_backward",
    "nll_loss_forward",
    "norm_forward",
    "num_threads",
    "num_threads_reason",
    "pack_forward",
    "pad_backward",
    "pad_forward",
    "pdist_backward",
    "pdist_forward",
    "pointwise_loss_backward",
    "pointwise_loss_forward",
    "pool_take_forward",
    "pow_forward",
    "prelu_backward",
    "prelu_forward",
    "probe_copy",
    "probe_flops",
    "probe_read",
    "probe_write",
    "prod_forward",
    "reciprocal_forward",
    "recurrent_backward",
    "recurrent_forward",
    "relu_forward",
    "relu_grad_forward",
    "round_forward",
    "rsqrt_forward",
    "scatter_add_forward",
    "scatter_forward",
    "set_isa",
    "set_memory_cap",
    "set_num_threads",
    "set_poison",
    "sgd_step",
    "sigmoid_forward",
    "sigmoid_grad_forward",
    "sign_forward",
    "silu_forward",
    "silu_grad_forward",
    "sin_forward",
    "sinh_forward",
    "softmax_backward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "softshrink_backward",
    "softshrink_forward",
    "softsign_backward",
    "softsign_forward",
    "sort_forward",
    "sqrt_forward",
    "square_forward",
    "sub_forward",
    "sum_forward",
    "swiglu_backward",
    "swiglu_forward",
    "take_forward",
    "tan_forward",
    "tanh_forward",
    "tanh_grad_forward",
    "tanhshrink_backward",
    "tanhshrink_forward",
    "threshold_backward",
    "threshold_forward",
    "topk_forward",
    "triangle_forward",
    "trunc_forward",
    "unfold_forward",
    "var_mean_forward",
    "where_forward",
]

def abs_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def adam_step(
    params: collections.abc.Sequence[numpy.ndarray],
    grads: collections.abc.Sequence[numpy.ndarray],
    exp_avgs: collections.abc.Sequence[numpy.ndarray],
    exp_avg_sqs: collections.abc.Sequence[numpy.ndarray],
    max_exp_avg_sqs: collections.abc.Sequence[numpy.ndarray],
    step: typing.SupportsFloat | typing.SupportsIndex,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    beta1: typing.SupportsFloat | typing.SupportsIndex,
    beta2: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    decoupled: bool,
    amsgrad: bool,
    maximize: bool,
) -> None: ...
def add_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def all_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def alpha_dropout_backward(
    gy: numpy.ndarray,
    p: typing.SupportsFloat | typing.SupportsIndex,
    seed: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def alpha_dropout_forward(
    x: numpy.ndarray,
    p: typing.SupportsFloat | typing.SupportsIndex,
    seed: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def amax_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def amin_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def any_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def argmax_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def argmin_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def attention_backward(
    gy: numpy.ndarray,
    q: numpy.ndarray,
    k: numpy.ndarray,
    v: numpy.ndarray,
    y: numpy.ndarray,
    statistics: numpy.ndarray,
    mask: numpy.ndarray | None,
    q_lengths: numpy.ndarray | None,
    kv_lengths: numpy.ndarray | None,
    scale: typing.SupportsFloat | typing.SupportsIndex,
    left: typing.SupportsInt | typing.SupportsIndex,
    right: typing.SupportsInt | typing.SupportsIndex,
    offset: typing.SupportsInt | typing.SupportsIndex,
    softcap: typing.SupportsFloat | typing.SupportsIndex,
    dropout: typing.SupportsFloat | typing.SupportsIndex,
    seed: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def attention_forward(
    q: numpy.ndarray,
    k: numpy.ndarray,
    v: numpy.ndarray,
    mask: numpy.ndarray | None,
    q_lengths: numpy.ndarray | None,
    kv_lengths: numpy.ndarray | None,
    scale: typing.SupportsFloat | typing.SupportsIndex,
    left: typing.SupportsInt | typing.SupportsIndex,
    right: typing.SupportsInt | typing.SupportsIndex,
    offset: typing.SupportsInt | typing.SupportsIndex,
    softcap: typing.SupportsFloat | typing.SupportsIndex,
    dropout: typing.SupportsFloat | typing.SupportsIndex,
    seed: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def available_isas() -> str:
    """
    Those that this build and CPU run, best first.
    """

def avg_pool_backward(
    gy: numpy.ndarray,
    input_size: int | collections.abc.Sequence[int],
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    count_include_pad: bool,
    divisor: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def avg_pool_forward(
    x: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def batch_norm_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    w: numpy.ndarray | None,
    mean: numpy.ndarray,
    var: numpy.ndarray,
    y: numpy.ndarray | None,
    training: bool,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    residual: bool,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def batch_norm_forward(
    x: numpy.ndarray,
    w: numpy.ndarray | None,
    b: numpy.ndarray | None,
    running_mean: numpy.ndarray | None,
    running_var: numpy.ndarray | None,
    residual: numpy.ndarray | None,
    training: bool,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    relu: bool,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def cat_forward(
    xs: collections.abc.Sequence[numpy.ndarray], axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def ceil_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def clamp_forward(
    x: numpy.ndarray,
    low: typing.SupportsFloat | typing.SupportsIndex,
    high: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def conv_algorithm(
    x: numpy.ndarray,
    w: numpy.ndarray,
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    algorithm: typing.SupportsInt | typing.SupportsIndex,
    direction: typing.SupportsInt | typing.SupportsIndex,
) -> int: ...
def conv_forward(
    x: numpy.ndarray,
    w: numpy.ndarray,
    b: numpy.ndarray | None,
    residual: numpy.ndarray | None,
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    activation: typing.SupportsInt | typing.SupportsIndex,
    algorithm: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def conv_input_grad(
    gy: numpy.ndarray,
    w: numpy.ndarray,
    b: numpy.ndarray | None,
    input_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    algorithm: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def conv_weight_grad(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    algorithm: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def copy_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def cos_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def cosh_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def cross_entropy_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    statistics: numpy.ndarray,
    ignore_index: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
    label_smoothing: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def cross_entropy_forward(
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    ignore_index: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
    label_smoothing: typing.SupportsFloat | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def ctc_loss_backward(
    gy: numpy.ndarray,
    log_probs: numpy.ndarray,
    targets: numpy.ndarray,
    input_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    alpha: numpy.ndarray,
    blank: typing.SupportsInt | typing.SupportsIndex,
    zero_infinity: bool,
) -> numpy.ndarray: ...
def ctc_loss_forward(
    log_probs: numpy.ndarray,
    targets: numpy.ndarray,
    input_lengths: numpy.ndarray,
    target_lengths: numpy.ndarray,
    blank: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def cumprod_backward(
    gy: numpy.ndarray, x: numpy.ndarray, y: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def cumprod_forward(x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray: ...
def cumsum_forward(
    x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex, reverse: bool
) -> numpy.ndarray: ...
def div_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def dropout_forward(
    x: numpy.ndarray,
    p: typing.SupportsFloat | typing.SupportsIndex,
    seed: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def elu_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    scale: typing.SupportsFloat | typing.SupportsIndex,
    rate: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def elu_forward(
    x: numpy.ndarray,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    scale: typing.SupportsFloat | typing.SupportsIndex,
    rate: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def embedding_backward(
    gy: numpy.ndarray,
    index: numpy.ndarray,
    source: numpy.ndarray | None,
    scale: numpy.ndarray | None,
    rows: typing.SupportsInt | typing.SupportsIndex,
    padding_idx: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def embedding_bag_forward(
    w: numpy.ndarray,
    index: numpy.ndarray,
    offsets: numpy.ndarray,
    scale: numpy.ndarray | None,
    mode: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def embedding_forward(w: numpy.ndarray, index: numpy.ndarray) -> numpy.ndarray: ...
def empty_cache() -> None: ...
def eq_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def erf_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def exp2_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def exp_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def expm1_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def floor_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def fold_forward(
    y: numpy.ndarray,
    output_size: int | collections.abc.Sequence[int],
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
) -> numpy.ndarray: ...
def fractional_max_pool_forward(
    x: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    output_size: int | collections.abc.Sequence[int],
    samples: numpy.ndarray,
    ignore_nan: bool,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def gather_forward(
    x: numpy.ndarray, index: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def ge_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def geglu_backward(
    gy: numpy.ndarray, x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def geglu_forward(x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray: ...
def geglu_tanh_backward(
    gy: numpy.ndarray, x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def geglu_tanh_forward(
    x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def gelu_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def gelu_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def gelu_tanh_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def gelu_tanh_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def glu_backward(
    gy: numpy.ndarray, x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def glu_forward(x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray: ...
def grid_sample_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    grid: numpy.ndarray,
    mode: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    align_corners: bool,
    need_x: bool,
    need_grid: bool,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def grid_sample_forward(
    x: numpy.ndarray,
    grid: numpy.ndarray,
    mode: typing.SupportsInt | typing.SupportsIndex,
    padding_mode: typing.SupportsInt | typing.SupportsIndex,
    align_corners: bool,
) -> numpy.ndarray: ...
def group_norm_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    w: numpy.ndarray | None,
    mean: numpy.ndarray,
    var: numpy.ndarray,
    groups: typing.SupportsInt | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def group_norm_forward(
    x: numpy.ndarray,
    w: numpy.ndarray | None,
    b: numpy.ndarray | None,
    groups: typing.SupportsInt | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def gt_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def hardshrink_backward(
    gy: numpy.ndarray, x: numpy.ndarray, lambd: typing.SupportsFloat | typing.SupportsIndex
) -> numpy.ndarray: ...
def hardshrink_forward(
    x: numpy.ndarray, lambd: typing.SupportsFloat | typing.SupportsIndex, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def hardsigmoid_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def hardsigmoid_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def hardswish_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def hardswish_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def hardtanh_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    low: typing.SupportsFloat | typing.SupportsIndex,
    high: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def hardtanh_forward(
    x: numpy.ndarray,
    low: typing.SupportsFloat | typing.SupportsIndex,
    high: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def index_add_forward(
    x: numpy.ndarray,
    index: numpy.ndarray,
    source: numpy.ndarray,
    axis: typing.SupportsInt | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def interpolate_forward(
    x: numpy.ndarray, tables: collections.abc.Sequence[numpy.ndarray]
) -> numpy.ndarray: ...
def isa() -> str:
    """
    The instruction set in use.
    """

def isfinite_forward(x: numpy.ndarray) -> numpy.ndarray: ...
def isinf_forward(x: numpy.ndarray) -> numpy.ndarray: ...
def isnan_forward(x: numpy.ndarray) -> numpy.ndarray: ...
def layer_norm_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    w: numpy.ndarray | None,
    statistics: numpy.ndarray,
    gh: numpy.ndarray | None,
    normalized_shape: int | collections.abc.Sequence[int],
    rms: bool,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def layer_norm_forward(
    x: numpy.ndarray,
    residual: numpy.ndarray | None,
    w: numpy.ndarray | None,
    b: numpy.ndarray | None,
    normalized_shape: int | collections.abc.Sequence[int],
    eps: typing.SupportsFloat | typing.SupportsIndex,
    rms: bool,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def le_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def leaky_relu_backward(
    gy: numpy.ndarray, x: numpy.ndarray, slope: typing.SupportsFloat | typing.SupportsIndex
) -> numpy.ndarray: ...
def leaky_relu_forward(
    x: numpy.ndarray, slope: typing.SupportsFloat | typing.SupportsIndex, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def linear_forward(
    x: numpy.ndarray,
    w: numpy.ndarray,
    b: numpy.ndarray | None,
    residual: numpy.ndarray | None,
    activation: typing.SupportsInt | typing.SupportsIndex,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def local_response_norm_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    size: typing.SupportsInt | typing.SupportsIndex,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    k: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def local_response_norm_forward(
    x: numpy.ndarray,
    size: typing.SupportsInt | typing.SupportsIndex,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    k: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def log10_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def log1p_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def log2_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def log_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def logical_and_forward(x: numpy.ndarray, y: numpy.ndarray) -> numpy.ndarray: ...
def logical_not_forward(x: numpy.ndarray) -> numpy.ndarray: ...
def logical_or_forward(x: numpy.ndarray, y: numpy.ndarray) -> numpy.ndarray: ...
def logical_xor_forward(x: numpy.ndarray, y: numpy.ndarray) -> numpy.ndarray: ...
def logsigmoid_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def logsigmoid_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def lt_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def margin_loss_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    p: typing.SupportsInt | typing.SupportsIndex,
    margin: typing.SupportsFloat | typing.SupportsIndex,
    several: bool,
    reduction: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def margin_loss_forward(
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    p: typing.SupportsInt | typing.SupportsIndex,
    margin: typing.SupportsFloat | typing.SupportsIndex,
    several: bool,
    reduction: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def matmul_forward(x: numpy.ndarray, w: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def matmul_packed_forward(
    x: numpy.ndarray,
    packed: numpy.ndarray,
    k: typing.SupportsInt | typing.SupportsIndex,
    n: typing.SupportsInt | typing.SupportsIndex,
    b: numpy.ndarray | None,
    activation: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def max_pool_backward(
    gy: numpy.ndarray,
    index: numpy.ndarray,
    input_size: int | collections.abc.Sequence[int],
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
) -> numpy.ndarray: ...
def max_pool_forward(
    x: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
    ceil_mode: bool,
    smallest: bool,
    ignore_nan: bool,
    index: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def max_unpool_forward(
    x: numpy.ndarray, index: numpy.ndarray, output_size: int | collections.abc.Sequence[int]
) -> numpy.ndarray: ...
def maximum_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def maxout_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    pieces: typing.SupportsInt | typing.SupportsIndex,
    axis: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def maxout_forward(
    x: numpy.ndarray,
    pieces: typing.SupportsInt | typing.SupportsIndex,
    axis: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def mean_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def memory_stats() -> dict: ...
def minimum_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def mish_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def mish_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def mul_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def ne_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def neg_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def nll_loss_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    ignore_index: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def nll_loss_forward(
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    ignore_index: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def norm_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def num_threads() -> int: ...
def num_threads_reason() -> str: ...
def pack_forward(w: numpy.ndarray) -> numpy.ndarray: ...
def pad_backward(
    gy: numpy.ndarray,
    input_size: int | collections.abc.Sequence[int],
    pads: int | collections.abc.Sequence[int],
    mode: typing.SupportsInt | typing.SupportsIndex,
) -> numpy.ndarray: ...
def pad_forward(
    x: numpy.ndarray,
    pads: int | collections.abc.Sequence[int],
    mode: typing.SupportsInt | typing.SupportsIndex,
    value: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def pdist_backward(
    gy: numpy.ndarray, x: numpy.ndarray, y: numpy.ndarray, p: typing.SupportsFloat | typing.SupportsIndex
) -> numpy.ndarray: ...
def pdist_forward(x: numpy.ndarray, p: typing.SupportsFloat | typing.SupportsIndex) -> numpy.ndarray: ...
def pointwise_loss_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    kind: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
    a: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def pointwise_loss_forward(
    x: numpy.ndarray,
    target: numpy.ndarray,
    weight: numpy.ndarray | None,
    kind: typing.SupportsInt | typing.SupportsIndex,
    reduction: typing.SupportsInt | typing.SupportsIndex,
    a: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def pool_take_forward(
    x: numpy.ndarray,
    index: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
) -> numpy.ndarray: ...
def pow_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def prelu_backward(
    gy: numpy.ndarray, x: numpy.ndarray, w: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def prelu_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def probe_copy(
    bytes: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex
) -> float: ...
def probe_flops(is_double: bool, threads: typing.SupportsInt | typing.SupportsIndex) -> float: ...
def probe_read(
    bytes: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex
) -> float: ...
def probe_write(
    bytes: typing.SupportsInt | typing.SupportsIndex, threads: typing.SupportsInt | typing.SupportsIndex
) -> float: ...
def prod_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def reciprocal_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def recurrent_backward(
    gy: numpy.ndarray | None,
    gh: numpy.ndarray | None,
    gc: numpy.ndarray | None,
    gcells: numpy.ndarray | None,
    x: numpy.ndarray,
    h0: numpy.ndarray | None,
    c0: numpy.ndarray | None,
    w_ih: numpy.ndarray,
    w_hh: numpy.ndarray,
    w_hr: numpy.ndarray | None,
    peephole: numpy.ndarray | None,
    lengths: numpy.ndarray | None,
    mask: numpy.ndarray | None,
    y: numpy.ndarray,
    cells: numpy.ndarray,
    gates: numpy.ndarray,
    gx: numpy.ndarray | None,
    gh0: numpy.ndarray | None,
    gc0: numpy.ndarray | None,
    cell: typing.SupportsInt | typing.SupportsIndex,
    direction: typing.SupportsInt | typing.SupportsIndex,
    directions: typing.SupportsInt | typing.SupportsIndex,
    batch_first: bool,
    needs_x: bool,
) -> tuple[
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
    numpy.ndarray,
]: ...
def recurrent_forward(
    x: numpy.ndarray,
    h0: numpy.ndarray | None,
    c0: numpy.ndarray | None,
    w_ih: numpy.ndarray,
    w_hh: numpy.ndarray,
    b_ih: numpy.ndarray | None,
    b_hh: numpy.ndarray | None,
    w_hr: numpy.ndarray | None,
    peephole: numpy.ndarray | None,
    lengths: numpy.ndarray | None,
    mask: numpy.ndarray | None,
    y: numpy.ndarray | None,
    h_n: numpy.ndarray | None,
    c_n: numpy.ndarray | None,
    cells: numpy.ndarray | None,
    cell: typing.SupportsInt | typing.SupportsIndex,
    direction: typing.SupportsInt | typing.SupportsIndex,
    directions: typing.SupportsInt | typing.SupportsIndex,
    batch_first: bool,
    save: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def relu_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def relu_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def round_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def rsqrt_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def scatter_add_forward(
    x: numpy.ndarray,
    index: numpy.ndarray,
    source: numpy.ndarray,
    axis: typing.SupportsInt | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def scatter_forward(
    x: numpy.ndarray,
    index: numpy.ndarray,
    source: numpy.ndarray,
    axis: typing.SupportsInt | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def set_isa(name: str) -> None: ...
def set_memory_cap(bytes: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def set_num_threads(n: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def set_poison(on: bool) -> None: ...
def sgd_step(
    params: collections.abc.Sequence[numpy.ndarray],
    grads: collections.abc.Sequence[numpy.ndarray],
    momentum_buffers: collections.abc.Sequence[numpy.ndarray],
    lr: typing.SupportsFloat | typing.SupportsIndex,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    dampening: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    nesterov: bool,
    maximize: bool,
    first_step: bool,
) -> None: ...
def sigmoid_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def sigmoid_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def sign_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def silu_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def silu_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def sin_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def sinh_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def softmax_backward(
    gy: numpy.ndarray, y: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex, log: bool
) -> numpy.ndarray: ...
def softmax_forward(
    x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex, log: bool
) -> numpy.ndarray: ...
def softplus_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    threshold: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def softplus_forward(
    x: numpy.ndarray,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    threshold: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def softshrink_backward(
    gy: numpy.ndarray, x: numpy.ndarray, lambd: typing.SupportsFloat | typing.SupportsIndex
) -> numpy.ndarray: ...
def softshrink_forward(
    x: numpy.ndarray, lambd: typing.SupportsFloat | typing.SupportsIndex, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def softsign_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def softsign_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def sort_forward(
    x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex, descending: bool
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def sqrt_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def square_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def sub_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def sum_forward(
    x: numpy.ndarray, axes: int | collections.abc.Sequence[int], keepdims: bool
) -> numpy.ndarray: ...
def swiglu_backward(
    gy: numpy.ndarray, x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def swiglu_forward(x: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray: ...
def take_forward(
    x: numpy.ndarray, index: numpy.ndarray, axis: typing.SupportsInt | typing.SupportsIndex
) -> numpy.ndarray: ...
def tan_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def tanh_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def tanh_grad_forward(
    x: numpy.ndarray | float, y: numpy.ndarray | float, out: numpy.ndarray | None = None
) -> numpy.ndarray: ...
def tanhshrink_backward(gy: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray: ...
def tanhshrink_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def threshold_backward(
    gy: numpy.ndarray,
    x: numpy.ndarray,
    level: typing.SupportsFloat | typing.SupportsIndex,
    value: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def threshold_forward(
    x: numpy.ndarray,
    level: typing.SupportsFloat | typing.SupportsIndex,
    value: typing.SupportsFloat | typing.SupportsIndex,
    out: numpy.ndarray | None = None,
) -> numpy.ndarray: ...
def topk_forward(
    x: numpy.ndarray,
    k: typing.SupportsInt | typing.SupportsIndex,
    axis: typing.SupportsInt | typing.SupportsIndex,
    largest: bool,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def triangle_forward(
    x: numpy.ndarray, diagonal: typing.SupportsInt | typing.SupportsIndex, upper: bool
) -> numpy.ndarray: ...
def trunc_forward(x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray: ...
def unfold_forward(
    x: numpy.ndarray,
    kernel_size: int | collections.abc.Sequence[int],
    stride: int | collections.abc.Sequence[int],
    padding: int | collections.abc.Sequence[int],
    dilation: int | collections.abc.Sequence[int],
) -> numpy.ndarray: ...
def var_mean_forward(
    x: numpy.ndarray,
    axes: int | collections.abc.Sequence[int],
    correction: typing.SupportsFloat | typing.SupportsIndex,
    keepdims: bool,
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def where_forward(c: numpy.ndarray, x: numpy.ndarray | float, y: numpy.ndarray | float) -> numpy.ndarray: ...
