// Sorting along an axis, and the k largest or smallest, with the places they came from.
//
// Numbers become unsigned keys in the same order (NaN above all, -0 equal to 0), with the place behind the
// key: so sorting keys is stable, and equal numbers come in the order of x. Up to 32 go through a sorting
// network, short rows are compared, long ones go by radix, 11 bits a pass, without the passes in which all
// keys agree. The k first of a row: a bound that k or a few more keys meet, from a count of leading digits
// or (few of many floats) from the bests of parts of the row; only those keys are sorted. Work is split over
// rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "axis.h"
#include "copy.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 12;  // numbers: some 20 us of sorting
constexpr int64_t kCompared = 256;   // shorter rows are sorted by comparing
constexpr int64_t kGroups = 256;     // parts of a row whose bests bound the row's first
constexpr int kDigit = 11, kDigits = 1 << kDigit;

int digit(uint64_t key, int shift) { return int(key >> shift & (kDigits - 1)); }

uint32_t ordered(float x) {
  uint32_t u;
  x += 0.0f;
  memcpy(&u, &x, 4);
  return x != x ? ~0u : u ^ (u >> 31 ? ~0u : 1u << 31);
}
uint64_t ordered(double x) {
  uint64_t u;
  x += 0.0;
  memcpy(&u, &x, 8);
  return x != x ? ~uint64_t(0) : u ^ (u >> 63 ? ~uint64_t(0) : uint64_t(1) << 63);
}
uint32_t ordered(int32_t x) { return uint32_t(x) ^ 1u << 31; }
uint64_t ordered(int64_t x) { return uint64_t(x) ^ uint64_t(1) << 63; }
uint32_t ordered(uint8_t x) { return x; }

// Without a branch: whether two keys swap can't be predicted.
template <class I> void swap_if(bool swap, I& a, I& b) {
  const I both = (a ^ b) & -I(swap);
  a ^= both, b ^= both;
}

// A key and the place it came from.
struct Short {
  uint64_t both;
  static constexpr int bits = 32;
  Short() = default;
  Short(uint32_t key, int64_t place) : both(uint64_t(key) << 32 | uint64_t(place)) {}
  static Short last() { return Short(~0u, 0xffffffff); }
  bool operator<(const Short& o) const { return both < o.both; }
  void order(Short& later) { swap_if(later < *this, both, later.both); }
  uint64_t key() const { return both >> 32; }
  int64_t place() const { return int64_t(uint32_t(both)); }
};
struct Long {
  uint64_t value;
  int64_t at;
  static constexpr int bits = 64;
  Long() = default;
  Long(uint64_t key, int64_t place) : value(key), at(place) {}
  static Long last() { return Long(~uint64_t(0), std::numeric_limits<int64_t>::max()); }
  bool operator<(const Long& o) const { return (value < o.value) | ((value == o.value) & (at < o.at)); }
  void order(Long& later) {
    const bool wrong = later < *this;
    swap_if(wrong, value, later.value), swap_if(wrong, at, later.at);
  }
  uint64_t key() const { return value; }
  int64_t place() const { return at; }
};
template <class T> using KeyOf = std::conditional_t<sizeof(ordered(T())) == 8, Long, Short>;

// Batcher's odd-even merge sort of n keys, a power of two: pairs to put in order, whatever the keys are.
template <int n> struct Network {
  uint8_t low[n * n] = {}, high[n * n] = {};
  int pairs = 0;
  constexpr Network() {
    for (int p = 1; p < n; p *= 2)
      for (int k = p; k; k /= 2)
        for (int j = k % p; j + k < n; j += 2 * k)
          for (int i = 0; i < k; ++i)
            if ((i + j) / (2 * p) == (i + j + k) / (2 * p)) {
              low[pairs] = uint8_t(i + j);
              high[pairs++] = uint8_t(i + j + k);
            }
  }
};
template <int n, class K, size_t... i> void sort_network(K* keys, std::index_sequence<i...>) {
  constexpr Network<n> network;
  (keys[network.low[i]].order(keys[network.high[i]]), ...);
}
template <int n, class K> void sort_padded(K* keys, int64_t count) {
  K all[n];
  for (int i = 0; i < n; ++i) all[i] = i < count ? keys[i] : K::last();
  sort_network<n>(all, std::make_index_sequence<size_t(Network<n>().pairs)>());
  std::copy(all, all + count, keys);
}

// Sorts n keys that stand in the order of their places; `spare` is as long.
template <class K> void sort_keys(K* keys, K* spare, int64_t n) {
  if (n <= 8) return sort_padded<8>(keys, n);
  if (n <= 16) return sort_padded<16>(keys, n);
  if (n <= 32) return sort_padded<32>(keys, n);
  if (n <= kCompared) return std::sort(keys, keys + n);
  constexpr int passes = (K::bits + kDigit - 1) / kDigit;
  Workspace<uint32_t> counts(size_t(passes) << kDigit);
  std::fill_n(static_cast<uint32_t*>(counts), size_t(passes) << kDigit, 0u);
  for (int64_t i = 0; i < n; ++i)
    for (int p = 0; p < passes; ++p) ++counts[(size_t(p) << kDigit) + digit(keys[i].key(), p * kDigit)];
  K *from = keys, *to = spare;
  for (int p = 0; p < passes; ++p) {
    uint32_t* count = counts + (size_t(p) << kDigit);
    if (count[digit(from[0].key(), p * kDigit)] == uint32_t(n)) continue;
    uint32_t total = 0;
    for (int d = 0; d < kDigits; ++d) {
      const uint32_t here = count[d];
      count[d] = total, total += here;
    }
    for (int64_t i = 0; i < n; ++i) to[count[digit(from[i].key(), p * kDigit)]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys) std::copy(from, from + n, keys);
}

// A key that at least k of the n keys do not exceed, and few more than k: digit by digit, from the top.
template <class I> I bound_by_digits(const I* keys, int64_t n, int64_t k) {
  constexpr int bits = 8 * sizeof(I);
  const int64_t few = k / 2 + 64;
  I prefix = 0;
  for (int shift = bits;;) {
    const int above = shift;
    shift = std::max(0, shift - kDigit);
    uint32_t count[kDigits] = {}, odd[kDigits] = {};  // two, for neighbours often have one digit
    const auto add = [&](I key, uint32_t* to) {
      if (above == bits || key >> above == prefix >> above) ++to[digit(key, shift)];
    };
    for (int64_t i = 0; i + 1 < n; i += 2) add(keys[i], count), add(keys[i + 1], odd);
    if (n % 2) add(keys[n - 1], count);
    int d = 0;
    for (; (count[d] += odd[d]) < k; ++d) k -= count[d];
    prefix |= I(d) << shift;
    if (shift == 0 || count[d] - k <= few) return prefix | ((I(1) << shift) - 1);
  }
}

// The same for few of many floats: the k-th best of the bests of `groups` interleaved parts.
template <class T, class F>
T bound_by_groups(const T* x, int64_t n, int64_t k, int64_t groups, bool descending, F&& key) {
  T best[kGroups];
  uint64_t keys[kGroups];
  const Fold fold = descending ? Fold::max : Fold::min;
  const int64_t rows = n / groups;  // the rest of the row can only make the bound too generous
  kernels<T>().reduce_cols(int(fold), x, groups, rows, groups, best);
  for (int64_t i = 0; i < groups; ++i) keys[i] = key(best[i]);
  T bound = best[0];
  std::nth_element(keys, keys + k - 1, keys + groups);
  for (int64_t i = 0; i < groups; ++i)
    if (key(best[i]) == keys[k - 1]) bound = best[i];
  return bound;
}

// The k first of the row's keys, sorted, at the front of `keys` (room for n).
template <class T, class K>
void first_keys(const T* x, int64_t step, int64_t n, int64_t k, bool descending, K* keys, K* spare) {
  using Ordered = decltype(ordered(T()));
  const uint64_t flip = descending ? ~uint64_t(0) : 0;
  const auto key_of = [=](T v) { return Ordered(ordered(v) ^ flip); };
  int64_t held = 0;
  if constexpr (std::is_floating_point_v<T>) {
    const int64_t groups = 2 * k <= 16 ? 16 : 2 * k <= 64 ? 64 : kGroups;
    if (step == 1 && 2 * k <= kGroups && n >= 4 * groups) {
      const T bound = bound_by_groups(x, n, k, groups, descending, key_of);
      for (int64_t i = 0;; ++i) {
        i += kernels<T>().find_beyond(x + i, n - i, bound, !descending);
        if (i >= n) break;
        keys[held++] = K(key_of(x[i]), i);
      }
      return sort_keys(keys, spare, held);
    }
  }
  Ordered* all = reinterpret_cast<Ordered*>(spare);  // until the sort needs the room
  if (step == 1)
    for (int64_t i = 0; i < n; ++i) all[i] = key_of(x[i]);
  else
    for (int64_t i = 0; i < n; ++i) all[i] = key_of(x[i * step]);
  const Ordered bound = k < n && n > 64 ? bound_by_digits(all, n, k) : std::numeric_limits<Ordered>::max();
  for (int64_t i = 0; i < n; ++i) {
    keys[held] = K(all[i], i);
    held += all[i] <= bound;
  }
  sort_keys(keys, spare, held);
}

Array2 first_of(const char* op, const View& x, int64_t k, int64_t axis, bool descending) {
  axis = axis_of(op, x, axis, std::max(1, x.ndim));
  int64_t shape[kMaxDims], outer = 1, inner = 1;
  for (int i = 0; i < x.ndim; ++i) {
    shape[i] = i == axis ? k : x.shape[i];
    if (i != axis) (i < axis ? outer : inner) *= x.shape[i];
  }
  const int64_t n = x.ndim ? x.shape[axis] : 1;
  if (k < 0 || k > n)
    fail(op,
         "k must lie in [0, " + std::to_string(n) + "], the length of dim " + std::to_string(axis) +
             ", got " + std::to_string(k),
         {{"x", x}});
  if (x.ndim == 0) k = 1;  // a number stays one, as in PyTorch
  if (n > std::numeric_limits<uint32_t>::max()) fail(op, "a row has more than 2^32 elements", {{"x", x}});
  Array y = output(op, x.dtype, x.ndim, shape), places = output(op, Dtype::i64, x.ndim, shape);
  if (y.size() == 0) return {std::move(y), std::move(places)};
  const Dense dense(x);
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    using K = KeyOf<T>;
    parallel_for(outer * inner, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
      Workspace<K> keys(static_cast<size_t>(n)), spare(static_cast<size_t>(n));
      for (int64_t r = begin; r < end; ++r) {
        const int64_t o = r / inner, i = r % inner;
        const T* from = dense.as<T>() + o * n * inner + i;
        first_keys<T, K>(from, inner, n, k, descending, keys, spare);
        T* to = y.as<T>() + o * k * inner + i;
        int64_t* at = places.as<int64_t>() + o * k * inner + i;
        for (int64_t j = 0; j < k; ++j) {
          at[j * inner] = keys[j].place();
          to[j * inner] = from[keys[j].place() * inner];
        }
      }
    });
  });
  return {std::move(y), std::move(places)};
}

}  // namespace

Array2 sort_forward(const View& x, int64_t axis, bool descending) {
  const int64_t at = axis < 0 ? axis + x.ndim : axis;
  return first_of("sort", x, at >= 0 && at < x.ndim ? x.shape[at] : 1, axis, descending);
}

Array2 topk_forward(const View& x, int64_t k, int64_t axis, bool largest) {
  return first_of("topk", x, k, axis, largest);
}

}  // namespace nn::cpu
