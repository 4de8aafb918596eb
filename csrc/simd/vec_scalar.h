// The vector interface, one lane wide: the definition that vec_avx2.h, vec_avx512.h and vec_neon.h mirror
// name by name.
//
// clang-format off
//   vec<T>    one register of T (float, double) with vec<T>::width lanes        mask<T>   one truth value per lane
//   load(p)  load(p, n)         n lanes from memory; with n < width the other lanes are 0 and are not read
//   store(p, v)  store(p, v, n) the same way back            stream(p, v)  non-temporal, p aligned to the register
//   set1(x)  iota<T>()          every lane x; 0, 1, 2, ...   stream_fence()  after the last stream
//   gather(p, step, n)          lane i = p[i * step], i < n, else 0
//   lookup(p, index, n)         lane i = p[index[i]] if i < n and index[i] >= 0, else 0; index int32_t, nothing else is read
//   lookup_near(p, index, n)    the same for what is in L1
//   load_places<T>(index)       width int32_t; permute(a, b, places): lane i = lane index[i] of a, then b; 0 if index[i] < 0;
//                               whole(places): the same, of which none is below 0
//   store_range(p, a, from, to)    lanes from <= i < to go to p[i]; nothing else is written
//   load_range(p, step, from, to)  lane i = p[i * step], from <= i < to, else 0; nothing else is read
//   + - * /  -a  fma(a,b,c) = a*b + c, one rounding          fnma(a,b,c) = c - a*b, one rounding: a slow call where
//                               the CPU lacks it. Sums take mul_add, neg_mul_add: the same with one rounding or two
//   min(a,b) = a < b ? a : b    max(a,b) = a > b ? a : b     so b comes through when either is NaN
//   abs sqrt floor ceil trunc   round: to nearest, ties to even          copysign(magnitude, sign)
//   lt le gt ge eq ne           IEEE compares (ne is true for NaN)       is_nan(a)  unordered(a, b): either
//   m & n  m | n  ~m  any(m)  all(m)  select(m, a, b) = m ? a : b        first<T>(n): true in lanes < n
//   load_where(m, p)            lane i = p[i] where m is true, else 0; nothing else is read
//   store_bool(p, m, n)         one byte 0/1 per lane        load_bool<T>(p, n): p[i] != 0
//   scale2(a, n) = a * 2^n      n integral; exact while the result is normal, 0 or Inf beyond the range
//   exponent(a) = floor(log2 a) mantissa(a) = a / 2^exponent(a) in [1, 2)   for normal a > 0
//   leading_entry<low>(table, a)  table[the five bits of a from `low` on], for floats; 18, if not given: the leading
//                               bits of the mantissa. The table stands on 64 bytes
//   sum(a)  reduce_min(a)  reduce_max(a)   over the lanes, in a fixed tree; the last two for lanes without NaN
//   transpose(r)                r[width] as rows of a square matrix
//   even(a, b)  odd(a, b)       every other lane of a, then of b; interleave(a, b, low, high) is the way back
//   load_u8<T>(p, from, to)     lane i = p[i], from <= i < to, else 0
//   store_u8(p, a, n)           integral lanes in 0..255    eq_u8<T>(p, x, n): p[i] == x, false beyond n
// clang-format on
//
// Kernel bodies are written once over vec<T>. Everything is in an anonymous namespace: see simd/kernels.h for
// why. tests/native/vec_test.cpp holds every header to this list.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NN_INLINE inline __attribute__((always_inline))

namespace nn {
namespace {

template <class T> struct vec {
  T v;
  static constexpr int width = 1;
};
template <class T> struct mask {
  bool m;
};

template <class T> NN_INLINE vec<T> set1(T x) { return {x}; }
template <class T> NN_INLINE vec<T> iota() { return {T(0)}; }
template <class T> NN_INLINE vec<T> load(const T* p) { return {*p}; }
template <class T> NN_INLINE vec<T> load(const T* p, int n) { return {n > 0 ? *p : T(0)}; }
template <class T> NN_INLINE void store(T* p, vec<T> a) { *p = a.v; }
template <class T> NN_INLINE void store(T* p, vec<T> a, int n) {
  if (n > 0) *p = a.v;
}
template <class T> NN_INLINE void stream(T* p, vec<T> a) { *p = a.v; }
NN_INLINE void stream_fence() {}
template <class T> NN_INLINE vec<T> gather(const T* p, int64_t, int n) { return {n > 0 ? *p : T(0)}; }

template <class T> NN_INLINE vec<T> lookup(const T* p, const int32_t* index, int n) {
  return {n > 0 && *index >= 0 ? p[*index] : T(0)};
}
template <class T> NN_INLINE vec<T> lookup_near(const T* p, const int32_t* index, int n) {
  return lookup(p, index, n);
}
template <class T> struct places {
  int32_t i;
};
template <class T> NN_INLINE places<T> load_places(const int32_t* index) { return {*index}; }
template <class T> NN_INLINE places<T> whole(places<T> p) { return p; }
template <class T> NN_INLINE vec<T> permute(vec<T> a, vec<T> b, places<T> p) {
  return {p.i < 0 ? T(0) : p.i == 0 ? a.v : b.v};
}
template <class T> NN_INLINE vec<T> load_range(const T* p, int64_t, int from, int to) {
  return {from <= 0 && to > 0 ? *p : T(0)};
}

template <class T> NN_INLINE void store_range(T* p, vec<T> a, int from, int to) {
  if (from <= 0 && to > 0) *p = a.v;
}

template <class T> NN_INLINE vec<T> even(vec<T> a, vec<T>) { return a; }
template <class T> NN_INLINE vec<T> odd(vec<T>, vec<T> b) { return b; }
template <class T> NN_INLINE void interleave(vec<T> a, vec<T> b, vec<T>& low, vec<T>& high) {
  low = a, high = b;
}
template <class T> NN_INLINE vec<T> load_u8(const uint8_t* p, int from, int to) {
  return {from <= 0 && to > 0 ? T(*p) : T(0)};
}
template <class T> NN_INLINE mask<T> eq_u8(const uint8_t* p, uint8_t x, int n) { return {n > 0 && *p == x}; }
template <class T> NN_INLINE void store_u8(uint8_t* p, vec<T> a, int n) {
  if (n > 0) *p = uint8_t(a.v);
}

template <class T> NN_INLINE vec<T> operator+(vec<T> a, vec<T> b) { return {a.v + b.v}; }
template <class T> NN_INLINE vec<T> operator-(vec<T> a, vec<T> b) { return {a.v - b.v}; }
template <class T> NN_INLINE vec<T> operator*(vec<T> a, vec<T> b) { return {a.v * b.v}; }
template <class T> NN_INLINE vec<T> operator/(vec<T> a, vec<T> b) { return {a.v / b.v}; }
template <class T> NN_INLINE vec<T> operator-(vec<T> a) { return {-a.v}; }
NN_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) { return {fmaf(a.v, b.v, c.v)}; }
NN_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) { return {::fma(a.v, b.v, c.v)}; }
template <class T> NN_INLINE vec<T> fnma(vec<T> a, vec<T> b, vec<T> c) { return fma(-a, b, c); }
// Without fma, a call of the C library unless the compiler may use the CPU's instruction.
template <class T> NN_INLINE vec<T> mul_add(vec<T> a, vec<T> b, vec<T> c) { return {a.v * b.v + c.v}; }
template <class T> NN_INLINE vec<T> neg_mul_add(vec<T> a, vec<T> b, vec<T> c) { return {c.v - a.v * b.v}; }
// 1 / a, within 2 ulp where neither a nor the result is 0, infinite or denormal.
template <class T> NN_INLINE vec<T> reciprocal(vec<T> a) { return {1 / a.v}; }
template <class T> NN_INLINE vec<T> min(vec<T> a, vec<T> b) { return {a.v < b.v ? a.v : b.v}; }
template <class T> NN_INLINE vec<T> max(vec<T> a, vec<T> b) { return {a.v > b.v ? a.v : b.v}; }

NN_INLINE vec<float> abs(vec<float> a) { return {fabsf(a.v)}; }
NN_INLINE vec<double> abs(vec<double> a) { return {fabs(a.v)}; }
NN_INLINE vec<float> sqrt(vec<float> a) { return {sqrtf(a.v)}; }
NN_INLINE vec<double> sqrt(vec<double> a) { return {::sqrt(a.v)}; }
NN_INLINE vec<float> round(vec<float> a) { return {rintf(a.v)}; }
NN_INLINE vec<double> round(vec<double> a) { return {rint(a.v)}; }
NN_INLINE vec<float> floor(vec<float> a) { return {floorf(a.v)}; }
NN_INLINE vec<double> floor(vec<double> a) { return {::floor(a.v)}; }
NN_INLINE vec<float> ceil(vec<float> a) { return {ceilf(a.v)}; }
NN_INLINE vec<double> ceil(vec<double> a) { return {::ceil(a.v)}; }
NN_INLINE vec<float> trunc(vec<float> a) { return {truncf(a.v)}; }
NN_INLINE vec<double> trunc(vec<double> a) { return {::trunc(a.v)}; }
NN_INLINE vec<float> copysign(vec<float> a, vec<float> s) { return {copysignf(a.v, s.v)}; }
NN_INLINE vec<double> copysign(vec<double> a, vec<double> s) { return {::copysign(a.v, s.v)}; }

template <class T> NN_INLINE mask<T> lt(vec<T> a, vec<T> b) { return {a.v < b.v}; }
template <class T> NN_INLINE mask<T> le(vec<T> a, vec<T> b) { return {a.v <= b.v}; }
template <class T> NN_INLINE mask<T> gt(vec<T> a, vec<T> b) { return {a.v > b.v}; }
template <class T> NN_INLINE mask<T> ge(vec<T> a, vec<T> b) { return {a.v >= b.v}; }
template <class T> NN_INLINE mask<T> eq(vec<T> a, vec<T> b) { return {a.v == b.v}; }
template <class T> NN_INLINE mask<T> ne(vec<T> a, vec<T> b) { return {a.v != b.v}; }
template <class T> NN_INLINE mask<T> is_nan(vec<T> a) { return {a.v != a.v}; }
template <class T> NN_INLINE mask<T> unordered(vec<T> a, vec<T> b) { return {a.v != a.v || b.v != b.v}; }
template <class T> NN_INLINE mask<T> operator&(mask<T> a, mask<T> b) { return {a.m && b.m}; }
template <class T> NN_INLINE mask<T> operator|(mask<T> a, mask<T> b) { return {a.m || b.m}; }
template <class T> NN_INLINE mask<T> operator~(mask<T> a) { return {!a.m}; }
template <class T> NN_INLINE bool any(mask<T> a) { return a.m; }
template <class T> NN_INLINE bool all(mask<T> a) { return a.m; }
template <class T> NN_INLINE vec<T> select(mask<T> m, vec<T> a, vec<T> b) { return {m.m ? a.v : b.v}; }
template <class T> NN_INLINE mask<T> first(int n) { return {n > 0}; }
template <class T> NN_INLINE vec<T> load_where(mask<T> m, const T* p) { return {m.m ? *p : T(0)}; }
template <class T> NN_INLINE void store_bool(uint8_t* p, mask<T> m, int n) {
  if (n > 0) *p = m.m;
}
template <class T> NN_INLINE mask<T> load_bool(const uint8_t* p, int n) { return {n > 0 && *p != 0}; }

NN_INLINE vec<float> scale2(vec<float> a, vec<float> n) { return {ldexpf(a.v, int(n.v))}; }
NN_INLINE vec<double> scale2(vec<double> a, vec<double> n) { return {ldexp(a.v, int(n.v))}; }
NN_INLINE vec<float> exponent(vec<float> a) { return {float(ilogbf(a.v))}; }
NN_INLINE vec<double> exponent(vec<double> a) { return {double(ilogb(a.v))}; }
NN_INLINE vec<float> mantissa(vec<float> a) { return {ldexpf(a.v, -ilogbf(a.v))}; }
NN_INLINE vec<double> mantissa(vec<double> a) { return {ldexp(a.v, -ilogb(a.v))}; }

template <int low = 18> NN_INLINE vec<float> leading_entry(const float* table, vec<float> a) {
  uint32_t bits;
  memcpy(&bits, &a.v, sizeof bits);
  return {table[bits >> low & 31]};
}

template <class T> NN_INLINE T sum(vec<T> a) { return a.v; }
template <class T> NN_INLINE T reduce_min(vec<T> a) { return a.v; }
template <class T> NN_INLINE T reduce_max(vec<T> a) { return a.v; }
template <class T> NN_INLINE void transpose(vec<T>*) {}

}  // namespace
}  // namespace nn
