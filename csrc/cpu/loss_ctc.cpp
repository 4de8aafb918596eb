// Connectionist temporal classification (Graves et al. 2006): -log of the probability that the frames'
// labels, repeats merged and blanks taken out, are the target.
//
//   states s: blank, y_1, blank, y_2, ..., blank       alpha[t][s]: log-probability of the frames up to t
//   ending in s alpha[t][s] = x[t][label s] + log(exp alpha[t-1][s] + exp alpha[t-1][s-1] + exp
//   alpha[t-1][s-2]) gx[t][c] = gy (exp x[t][c] - sum of exp(alpha[t][s] + beta[t][s] - x[t][c] + loss) over
//   the states s of c)
//
// The last term of alpha counts where s is a label other than that of s - 2. beta is alpha of the frames and
// states in reverse order, so one kernel does both. gx is PyTorch's: the gradient in front of the log_softmax
// that x comes from (adding exp x changes nothing behind it). Sequences are shared among threads. Bound by
// exp and log.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "ctc_loss";
constexpr int64_t kGrain = 1 << 10;  // states of all frames: some 20 us
constexpr int64_t kPad = 2;          // states of no probability in front of each row of alpha

int64_t integer(const View& v, int64_t offset_bytes) {
  const char* p = static_cast<const char*>(v.data) + offset_bytes;
  return v.dtype == Dtype::i32 ? *reinterpret_cast<const int32_t*>(p) : *reinterpret_cast<const int64_t*>(p);
}

struct Problem {
  int64_t frames, batch, classes, longest = 0;            // longest: target
  Workspace<int64_t> input_length, target_length, first;  // first: of a target among `labels`
  Workspace<int64_t> labels;

  Problem(const View& x, const View& targets, const View& inputs, const View& lengths, int64_t blank)
      : frames(checked(x)),
        batch(x.shape[1]),
        classes(x.shape[2]),
        input_length(size_t(batch)),
        target_length(size_t(batch)),
        first(size_t(batch)),
        labels(size_t(targets.size())) {
    if (blank < 0 || blank >= classes)
      fail(kOp, "blank is " + std::to_string(blank) + ", which is no class of log_probs", {{"log_probs", x}});
    integers("targets", targets), integers("input_lengths", inputs), integers("target_lengths", lengths);
    if (inputs.ndim != 1 || lengths.ndim != 1 || inputs.shape[0] != batch || lengths.shape[0] != batch)
      fail(kOp,
           "input_lengths and target_lengths need one number for each of the " + std::to_string(batch) +
               " sequences",
           {{"log_probs", x}, {"input_lengths", inputs}, {"target_lengths", lengths}});
    const bool padded = targets.ndim == 2;
    if (targets.ndim != 1 && !(padded && targets.shape[0] == batch))
      fail(kOp, "targets must be (N, S), or all targets one after another",
           {{"log_probs", x}, {"targets", targets}});
    int64_t total = 0;
    for (int64_t n = 0; n < batch; ++n) {
      input_length[n] = integer(inputs, n * inputs.strides[0]);
      target_length[n] = integer(lengths, n * lengths.strides[0]);
      limit("input_lengths", n, input_length[n], frames);
      limit("target_lengths", n, target_length[n], padded ? targets.shape[1] : targets.shape[0]);
      first[n] = total;
      for (int64_t i = 0; i < target_length[n] && (padded || total + i < targets.shape[0]); ++i) {
        const int64_t label = integer(targets, padded ? n * targets.strides[0] + i * targets.strides[1]
                                                      : (total + i) * targets.strides[0]);
        if (label < 0 || label >= classes || label == blank)
          refuse(padded ? std::to_string(n) + ", " + std::to_string(i) : std::to_string(total + i), label,
                 blank);
        labels[total + i] = label;
      }
      total += target_length[n];
      longest = std::max(longest, target_length[n]);
    }
    if (!padded && total != targets.shape[0])
      fail(kOp,
           "target_lengths add up to " + std::to_string(total) + ", which is not how many targets there are",
           {{"targets", targets}});
  }

  int64_t states() const { return 2 * longest + 1; }
  int64_t row() const { return states() + kPad; }
  int64_t label(int64_t n, int64_t s, int64_t blank) const {
    return s % 2 ? labels[first[n] + s / 2] : blank;
  }

 private:
  static int64_t checked(const View& x) {
    if (x.ndim != 3) fail(kOp, "log_probs must be (T, N, C)", {{"log_probs", x}});
    common_dtype(kOp, {{"log_probs", x}});
    return x.shape[0];
  }
  static void integers(const char* name, const View& v) {
    if (v.dtype != Dtype::i64 && v.dtype != Dtype::i32)
      fail_type(kOp, std::string(name) + " is " + nn::name(v.dtype) + "; it must hold int64 or int32");
  }
  static void limit(const char* name, int64_t n, int64_t value, int64_t top) {
    if (value < 0 || value > top)
      throw std::invalid_argument(std::string(kOp) + ": " + name + "[" + std::to_string(n) + "] is " +
                                  std::to_string(value) + ", but must lie between 0 and " +
                                  std::to_string(top));
  }
  [[noreturn]] void refuse(const std::string& place, int64_t label, int64_t blank) const {
    throw std::out_of_range(std::string(kOp) + ": targets[" + place + "] is " + std::to_string(label) +
                            ", but labels are classes 0 to " + std::to_string(classes - 1) +
                            " without the blank " + std::to_string(blank));
  }
};

// The log-probabilities, read in place where classes lie side by side.
template <class T> struct Frames {
  std::optional<Dense> dense;
  const T* x;
  int64_t frame_step, batch_step;

  explicit Frames(const View& v) : x(v.as<const T>()), frame_step(v.step(0)), batch_step(v.step(1)) {
    if (v.step(2) == 1) return;
    x = dense.emplace(v).template as<T>();
    frame_step = v.shape[1] * v.shape[2], batch_step = v.shape[2];
  }
  const T* at(int64_t t, int64_t n) const { return x + t * frame_step + n * batch_step; }
};

// The states of one target, first to last or in reverse.
template <class T> struct States {
  int64_t count;
  Workspace<int64_t> label;
  Workspace<T> skip, emit;

  States(const Problem& p, int64_t n, int64_t blank, bool reverse)
      : count(2 * p.target_length[n] + 1), label(size_t(count)), skip(size_t(count)), emit(size_t(count)) {
    for (int64_t s = 0; s < count; ++s) label[s] = p.label(n, reverse ? count - 1 - s : s, blank);
    for (int64_t s = 0; s < count; ++s)
      skip[s] = s % 2 && s > 1 && label[s] != label[s - 2] ? T(0) : -std::numeric_limits<T>::infinity();
  }
  void read(const T* x) {
    for (int64_t s = 0; s < count; ++s) emit[s] = x[label[s]];
  }
  void start(T* out) const {
    for (int64_t s = 0; s < count; ++s) out[s] = s < 2 ? emit[s] : -std::numeric_limits<T>::infinity();
  }
};

// -log of the probability of ending in one of the last two states
template <class T> T loss_of(const T* last, int64_t count) {
  if (count == 1) return -last[0];
  const T top = std::max(last[count - 1], last[count - 2]);
  if (top == -std::numeric_limits<T>::infinity()) return -top;
  return -(top + std::log(std::exp(last[count - 1] - top) + std::exp(last[count - 2] - top)));
}

// No frames: only the empty target can be told.
template <class T> T loss_of(const Problem& p, int64_t n, const T* alpha) {
  const int64_t frames = p.input_length[n];
  if (frames == 0) return p.target_length[n] == 0 ? T(0) : std::numeric_limits<T>::infinity();
  return loss_of(alpha + (n * p.frames + frames - 1) * p.row() + kPad, 2 * p.target_length[n] + 1);
}

int64_t grain(const Problem& p) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, p.frames * p.states()));
}

}  // namespace

Array2 ctc_loss_forward(const View& log_probs, const View& targets, const View& input_lengths,
                        const View& target_lengths, int64_t blank) {
  const Problem p(log_probs, targets, input_lengths, target_lengths, blank);
  const int64_t shape[] = {p.batch, p.frames, p.row()};
  Array loss = output(kOp, log_probs.dtype, 1, shape), alpha = output(kOp, log_probs.dtype, 3, shape);
  dispatch(log_probs.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Frames<T> x(log_probs);
    parallel_for(p.batch, grain(p), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        T* row = alpha.as<T>() + n * p.frames * p.row();
        std::fill(row, row + p.frames * p.row(), -std::numeric_limits<T>::infinity());
        States<T> s(p, n, blank, false);
        row += kPad;
        for (int64_t t = 0; t < p.input_length[n]; ++t, row += p.row()) {
          s.read(x.at(t, n));
          if (t == 0)
            s.start(row);
          else
            kernels<T>().ctc_step(row - p.row(), s.skip, s.emit, row, s.count);
        }
        loss.as<T>()[n] = loss_of(p, n, alpha.as<T>());
      }
    });
  });
  return {std::move(loss), std::move(alpha)};
}

Array ctc_loss_backward(const View& gy, const View& log_probs, const View& targets, const View& input_lengths,
                        const View& target_lengths, const View& alpha, int64_t blank, bool zero_infinity) {
  const Problem p(log_probs, targets, input_lengths, target_lengths, blank);
  common_dtype(kOp, {{"log_probs", log_probs}, {"gy", gy}, {"alpha", alpha}});
  if (gy.ndim != 1 || gy.shape[0] != p.batch)
    fail(kOp, "gy must have the shape of the losses", {{"log_probs", log_probs}, {"gy", gy}});
  if (alpha.ndim != 3 || alpha.shape[0] != p.batch || alpha.shape[1] != p.frames ||
      alpha.shape[2] != p.row() || (alpha.size() > 0 && !alpha.contiguous()))
    fail(kOp, "alpha does not belong to log_probs", {{"log_probs", log_probs}, {"alpha", alpha}});
  Array gx = output(kOp, log_probs.dtype, 3, log_probs.shape);
  dispatch(log_probs.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Frames<T> x(log_probs);
    const Dense dense_gy(gy);
    parallel_for(p.batch, grain(p), [&](int64_t begin, int64_t end) {
      Workspace<T> rows(static_cast<size_t>(2 * p.row()));  // beta of this frame and of the one behind it
      Workspace<T> share(static_cast<size_t>(p.states()));
      std::fill(rows + 0, rows + 2 * p.row(), -std::numeric_limits<T>::infinity());
      for (int64_t n = begin; n < end; ++n) {
        const T g = dense_gy.template as<T>()[n], loss = loss_of(p, n, alpha.as<const T>());
        const bool infinite = loss == std::numeric_limits<T>::infinity();
        const int64_t last = infinite ? 0 : p.input_length[n];  // a path exists for these frames
        const auto to = [&](int64_t t) { return gx.as<T>() + (t * p.batch + n) * p.classes; };
        for (int64_t t = last; t < p.frames; ++t)
          std::fill(to(t), to(t) + p.classes,
                    infinite && !zero_infinity && t < p.input_length[n] ? std::numeric_limits<T>::quiet_NaN()
                                                                        : T(0));
        States<T> s(p, n, blank, true);
        for (int64_t t = last - 1; t >= 0; --t) {
          T *beta = rows + (t % 2) * p.row() + kPad, *behind = rows + ((t + 1) % 2) * p.row() + kPad,
            *part = share;
          const T* forward = alpha.as<const T>() + (n * p.frames + t) * p.row() + kPad + s.count - 1;
          s.read(x.at(t, n));
          if (t == last - 1)
            s.start(beta);
          else
            kernels<T>().ctc_step(behind, s.skip, s.emit, beta, s.count);
          for (int64_t i = 0; i < s.count; ++i) part[i] = forward[-i] + beta[i] - s.emit[i] + loss;
          kernels<T>().unary(int(Unary::exp), part, part, s.count, false);
          T* out = to(t);
          kernels<T>().unary(int(Unary::exp), x.at(t, n), out, p.classes, false);
          for (int64_t i = 0; i < s.count; ++i)
            out[s.label[i]] -= s.emit[i] > -std::numeric_limits<T>::infinity() ? part[i] : T(0);
          kernels<T>().binary(int(Binary::mul), out, 1, &g, 0, out, p.classes, false);
        }
      }
    });
  });
  return gx;
}

}  // namespace nn::cpu
