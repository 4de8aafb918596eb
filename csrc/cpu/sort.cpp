// Sorting along an axis, and the k largest or smallest, with the places they came from.
//
// Numbers become unsigned keys in the same order (NaN above all, -0 equal to 0), with the place behind the
// key: so sorting keys is stable, and equal numbers come in the order of x. Short rows are compared, long
// ones go by radix, 11 bits a pass, without the passes in which all keys agree. The k first of a long row:
// keys below the worst of the best so far gather in a buffer, which is cut to k whenever it is full. Work is
// split over rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 12;  // numbers: some 20 us of sorting
constexpr int64_t kCompared = 256;   // shorter rows are sorted by comparing

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
uint32_t ordered(bool x) { return x; }

// A key and the place it came from.
struct Short {
  uint64_t both;
  static constexpr int bits = 32;
  Short() = default;
  Short(uint32_t key, int64_t place) : both(uint64_t(key) << 32 | uint64_t(place)) {}
  bool operator<(const Short& o) const { return both < o.both; }
  uint64_t key() const { return both >> 32; }
  int64_t place() const { return int64_t(uint32_t(both)); }
};
struct Long {
  uint64_t value;
  int64_t at;
  static constexpr int bits = 64;
  Long() = default;
  Long(uint64_t key, int64_t place) : value(key), at(place) {}
  bool operator<(const Long& o) const { return value != o.value ? value < o.value : at < o.at; }
  uint64_t key() const { return value; }
  int64_t place() const { return at; }
};
template <class T> using KeyOf = std::conditional_t<sizeof(ordered(T())) == 8, Long, Short>;

// Sorts n keys that stand in the order of their places; `spare` is as long.
template <class K> void sort_keys(K* keys, K* spare, int64_t n) {
  if (n <= kCompared) return std::sort(keys, keys + n);
  constexpr int digit = 11, passes = (K::bits + digit - 1) / digit;
  constexpr uint64_t mask = (1 << digit) - 1;
  Workspace<uint32_t> counts(size_t(passes) << digit);
  std::fill_n(static_cast<uint32_t*>(counts), size_t(passes) << digit, 0u);
  for (int64_t i = 0; i < n; ++i)
    for (int p = 0; p < passes; ++p) ++counts[(size_t(p) << digit) + (keys[i].key() >> (p * digit) & mask)];
  K *from = keys, *to = spare;
  for (int p = 0; p < passes; ++p) {
    uint32_t* count = counts + (size_t(p) << digit);
    if (count[from[0].key() >> (p * digit) & mask] == uint32_t(n)) continue;
    uint32_t total = 0;
    for (uint64_t d = 0; d <= mask; ++d) {
      const uint32_t here = count[d];
      count[d] = total, total += here;
    }
    for (int64_t i = 0; i < n; ++i) to[count[from[i].key() >> (p * digit) & mask]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys) std::copy(from, from + n, keys);
}

// The k first of the row's keys, sorted, at the front of `keys` (room for n + 1).
template <class T, class K>
void first_keys(const T* x, int64_t step, int64_t n, int64_t k, uint64_t flip, K* keys, K* spare) {
  const auto key = [&](int64_t i) { return decltype(ordered(T()))(ordered(x[i * step]) ^ flip); };
  const int64_t room = std::max<int64_t>(4 * k, 256);
  if (k == n || room >= n) {
    for (int64_t i = 0; i < n; ++i) keys[i] = K(key(i), i);
    if (k == n) return sort_keys(keys, spare, n);
    std::copy(keys, keys + n, spare);
    std::nth_element(spare, spare + k - 1, spare + n);
    const K last = spare[k - 1];
    std::copy_if(keys, keys + n, keys,
                 [&](const K& e) { return !(last < e); });  // still in the places' order
    return sort_keys(keys, spare, k);
  }
  int64_t held = 0;
  uint64_t worst = ~uint64_t(0);  // a later key that is no better than this can't be among the first
  const auto cut = [&] {
    std::nth_element(keys, keys + k - 1, keys + held);
    held = k, worst = keys[k - 1].key();
  };
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t here = key(i);
    if (here >= worst && i >= room) continue;
    keys[held++] = K(decltype(ordered(T()))(here), i);
    if (held == room) cut();
  }
  if (held > k) cut();
  std::sort(keys, keys + k);
}

Array2 first_of(const char* op, const View& x, int64_t k, int64_t axis, bool descending) {
  const int64_t dims = std::max(1, x.ndim);
  if (axis < -dims || axis >= dims)
    throw std::out_of_range(std::string(op) + ": dim " + std::to_string(axis) +
                            " does not exist (x.shape=" + text(x) + ")");
  if (axis < 0) axis += dims;
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
  if (n > std::numeric_limits<uint32_t>::max()) fail(op, "a row has more than 2^32 elements", {{"x", x}});
  Array y = output(op, x.dtype, x.ndim, shape), places = output(op, Dtype::i64, x.ndim, shape);
  if (y.size() == 0) return {y, places};
  const Dense dense(x);
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    using K = KeyOf<T>;
    const uint64_t flip = descending ? ~uint64_t(0) : 0;
    parallel_for(outer * inner, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
      Workspace<K> keys(static_cast<size_t>(n)), spare(static_cast<size_t>(n));
      for (int64_t r = begin; r < end; ++r) {
        const int64_t o = r / inner, i = r % inner;
        const T* from = dense.as<T>() + o * n * inner + i;
        first_keys<T, K>(from, inner, n, k, flip, keys, spare);
        T* to = y.as<T>() + o * k * inner + i;
        int64_t* at = places.as<int64_t>() + o * k * inner + i;
        for (int64_t j = 0; j < k; ++j) {
          at[j * inner] = keys[j].place();
          to[j * inner] = from[keys[j].place() * inner];
        }
      }
    });
  });
  return {y, places};
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
