// AVX2 + FMA: 8 floats or 4 doubles. The interface is explained in vec_scalar.h.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define NN_INLINE inline __attribute__((always_inline))

namespace nn {
namespace {

template <class T> struct vec;
template <> struct vec<float> {
  __m256 v;
  static constexpr int width = 8;
};
template <> struct vec<double> {
  __m256d v;
  static constexpr int width = 4;
};
template <class T> struct mask;
template <> struct mask<float> {
  __m256 m;
};
template <> struct mask<double> {
  __m256d m;
};

typedef vec<float> vf;
typedef vec<double> vd;

NN_INLINE __m256i lanes8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
NN_INLINE __m256i lanes4(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}

template <class T> NN_INLINE vec<T> set1(T x);
template <> NN_INLINE vf set1<float>(float x) { return {_mm256_set1_ps(x)}; }
template <> NN_INLINE vd set1<double>(double x) { return {_mm256_set1_pd(x)}; }
template <class T> NN_INLINE vec<T> iota();
template <> NN_INLINE vf iota<float>() { return {_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7)}; }
template <> NN_INLINE vd iota<double>() { return {_mm256_setr_pd(0, 1, 2, 3)}; }
NN_INLINE vf load(const float* p) { return {_mm256_loadu_ps(p)}; }
NN_INLINE vd load(const double* p) { return {_mm256_loadu_pd(p)}; }
// The compiler would keep even a mask that is all ones.
NN_INLINE vf load(const float* p, int n) {
  return __builtin_constant_p(n) && n >= 8 ? load(p) : vf{_mm256_maskload_ps(p, lanes8(n))};
}
NN_INLINE vd load(const double* p, int n) {
  return __builtin_constant_p(n) && n >= 4 ? load(p) : vd{_mm256_maskload_pd(p, lanes4(n))};
}
NN_INLINE void store(float* p, vf a) { _mm256_storeu_ps(p, a.v); }
NN_INLINE void store(double* p, vd a) { _mm256_storeu_pd(p, a.v); }
// In halves and quarters: a masked store is some 20 instructions on AMD's processors. Not inlined: it would
// be a tenth of all code.
__attribute__((noinline)) void store_part(float* p, __m256 a, int n) {
  if (n <= 0) return;
  __m128 v = _mm256_castps256_ps128(a);
  if (n & 4) _mm_storeu_ps(p, v), p += 4, v = _mm256_extractf128_ps(a, 1);
  if (n & 2) _mm_storel_pi(reinterpret_cast<__m64*>(p), v), p += 2, v = _mm_movehl_ps(v, v);
  if (n & 1) _mm_store_ss(p, v);
}
__attribute__((noinline)) void store_part(double* p, __m256d a, int n) {
  if (n <= 0) return;
  __m128d v = _mm256_castpd256_pd128(a);
  if (n & 2) _mm_storeu_pd(p, v), p += 2, v = _mm256_extractf128_pd(a, 1);
  if (n & 1) _mm_store_sd(p, v);
}
NN_INLINE void store(float* p, vf a, int n) {
  if (n >= 8) return store(p, a);
  store_part(p, a.v, n);
}
NN_INLINE void store(double* p, vd a, int n) {
  if (n >= 4) return store(p, a);
  store_part(p, a.v, n);
}
NN_INLINE void stream(float* p, vf a) { _mm256_stream_ps(p, a.v); }
NN_INLINE void stream(double* p, vd a) { _mm256_stream_pd(p, a.v); }
NN_INLINE void stream_fence() { _mm_sfence(); }
NN_INLINE vf gather(const float* p, int64_t step, int n) {
  alignas(32) float t[8] = {};
  for (int i = 0; i < (n < 8 ? n : 8); ++i) t[i] = p[i * step];
  return {_mm256_load_ps(t)};
}
NN_INLINE vd gather(const double* p, int64_t step, int n) {
  alignas(32) double t[4] = {};
  for (int i = 0; i < (n < 4 ? n : 4); ++i) t[i] = p[i * step];
  return {_mm256_load_pd(t)};
}

// The sign of a lane's index says whether it is read.
NN_INLINE vf lookup(const float* p, const int32_t* index, int n) {
  const __m256i on = lanes8(n), i = _mm256_maskload_epi32(index, on);
  return {_mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, i, _mm256_castsi256_ps(_mm256_andnot_si256(i, on)),
                                   4)};
}
NN_INLINE vd lookup(const double* p, const int32_t* index, int n) {
  alignas(16) int32_t t[4] = {-1, -1, -1, -1};
  if (n >= 4)
    memcpy(t, index, sizeof t);
  else
    for (int i = 0; i < n; ++i) t[i] = index[i];
  const __m128i i = _mm_load_si128(reinterpret_cast<const __m128i*>(t));
  const __m256i on = _mm256_cvtepi32_epi64(_mm_andnot_si128(i, _mm_set1_epi32(-1)));
  return {_mm256_mask_i32gather_pd(_mm256_setzero_pd(), p, i, _mm256_castsi256_pd(on), 8)};
}
NN_INLINE vf lookup_near(const float* p, const int32_t* index, int n) { return lookup(p, index, n); }
NN_INLINE vd lookup_near(const double* p, const int32_t* index, int n) { return lookup(p, index, n); }

// i: 32-bit lanes to take; from_b, none: their sign bits say whether of b, whether at all
template <class T> struct places {
  __m256i i, from_b, none;
};
template <class T> NN_INLINE places<T> load_places(const int32_t* index);
template <> NN_INLINE places<float> load_places<float>(const int32_t* index) {
  const __m256i i = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  return {i, _mm256_slli_epi32(i, 28), _mm256_srai_epi32(i, 31)};
}
template <> NN_INLINE places<double> load_places<double>(const int32_t* index) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(index));
  const __m256i i = _mm256_cvtepi32_epi64(t), twice = _mm256_slli_epi64(i, 1);
  const __m256i pairs = _mm256_add_epi32(_mm256_shuffle_epi32(twice, 0xa0), _mm256_set1_epi64x(1ll << 32));
  return {pairs, _mm256_slli_epi64(i, 61), _mm256_cvtepi32_epi64(_mm_srai_epi32(t, 31))};
}
template <class T> NN_INLINE places<T> whole(places<T> p) { return {p.i, p.from_b, _mm256_setzero_si256()}; }
NN_INLINE vf permute(vf a, vf b, places<float> p) {
  const __m256 t = _mm256_blendv_ps(_mm256_permutevar8x32_ps(a.v, p.i), _mm256_permutevar8x32_ps(b.v, p.i),
                                    _mm256_castsi256_ps(p.from_b));
  return {_mm256_andnot_ps(_mm256_castsi256_ps(p.none), t)};
}
NN_INLINE vd permute(vd a, vd b, places<double> p) {
  const __m256 c = _mm256_permutevar8x32_ps(_mm256_castpd_ps(a.v), p.i),
               d = _mm256_permutevar8x32_ps(_mm256_castpd_ps(b.v), p.i);
  const __m256d t = _mm256_blendv_pd(_mm256_castps_pd(c), _mm256_castps_pd(d), _mm256_castsi256_pd(p.from_b));
  return {_mm256_andnot_pd(_mm256_castsi256_pd(p.none), t)};
}

NN_INLINE vf load_range(const float* p, int64_t step, int from, int to) {
  const __m256i m = _mm256_andnot_si256(lanes8(from), lanes8(to));
  if (step == 1) return {_mm256_maskload_ps(p, m)};
  if (step == 2) {
    // lane i of the mask goes to number 2i: unpack with zeros, then put the halves in order
    const __m256i none = _mm256_setzero_si256(), a = _mm256_unpacklo_epi32(m, none),
                  b = _mm256_unpackhi_epi32(m, none);
    const __m256 low = _mm256_maskload_ps(p, _mm256_permute2x128_si256(a, b, 0x20));
    const __m256 high = _mm256_maskload_ps(p + 8, _mm256_permute2x128_si256(a, b, 0x31));
    const __m256 even = _mm256_shuffle_ps(low, high, 0x88);
    return {_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8))};
  }
  alignas(32) float t[8] = {};
  for (int i = from > 0 ? from : 0; i < (to < 8 ? to : 8); ++i) t[i] = p[i * step];
  return {_mm256_load_ps(t)};
}
NN_INLINE vd load_range(const double* p, int64_t step, int from, int to) {
  if (step == 1) return {_mm256_maskload_pd(p, _mm256_andnot_si256(lanes4(from), lanes4(to)))};
  alignas(32) double t[4] = {};
  for (int i = from > 0 ? from : 0; i < (to < 4 ? to : 4); ++i) t[i] = p[i * step];
  return {_mm256_load_pd(t)};
}

NN_INLINE void store_range(float* p, vf a, int from, int to) {
  if (from <= 0) return store(p, a, to);
  _mm256_maskstore_ps(p, _mm256_andnot_si256(lanes8(from), lanes8(to)), a.v);
}
NN_INLINE void store_range(double* p, vd a, int from, int to) {
  if (from <= 0) return store(p, a, to);
  _mm256_maskstore_pd(p, _mm256_andnot_si256(lanes4(from), lanes4(to)), a.v);
}

NN_INLINE vf even(vf a, vf b) {
  const __m256d t = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0x88));
  return {_mm256_castpd_ps(_mm256_permute4x64_pd(t, 0xd8))};
}
NN_INLINE vd even(vd a, vd b) { return {_mm256_permute4x64_pd(_mm256_unpacklo_pd(a.v, b.v), 0xd8)}; }
NN_INLINE vf odd(vf a, vf b) {
  const __m256d t = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0xdd));
  return {_mm256_castpd_ps(_mm256_permute4x64_pd(t, 0xd8))};
}
NN_INLINE vd odd(vd a, vd b) { return {_mm256_permute4x64_pd(_mm256_unpackhi_pd(a.v, b.v), 0xd8)}; }
NN_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  const __m256 l = _mm256_unpacklo_ps(a.v, b.v), h = _mm256_unpackhi_ps(a.v, b.v);
  low.v = _mm256_permute2f128_ps(l, h, 0x20), high.v = _mm256_permute2f128_ps(l, h, 0x31);
}
NN_INLINE void interleave(vd a, vd b, vd& low, vd& high) {
  const __m256d l = _mm256_unpacklo_pd(a.v, b.v), h = _mm256_unpackhi_pd(a.v, b.v);
  low.v = _mm256_permute2f128_pd(l, h, 0x20), high.v = _mm256_permute2f128_pd(l, h, 0x31);
}
// `bytes` bytes of memory, those outside [from, to) as zeros
NN_INLINE uint64_t bytes_between(const uint8_t* p, int bytes, int from, int to) {
  uint64_t b = 0;
  if (from <= 0 && to >= bytes) {
    memcpy(&b, p, size_t(bytes));
  } else {
    for (int i = from > 0 ? from : 0; i < (to < bytes ? to : bytes); ++i) b |= uint64_t(p[i]) << (8 * i);
  }
  return b;
}
template <class T> NN_INLINE vec<T> load_u8(const uint8_t* p, int from, int to);
template <> NN_INLINE vf load_u8<float>(const uint8_t* p, int from, int to) {
  const __m128i b = _mm_cvtsi64_si128(int64_t(bytes_between(p, 8, from, to)));
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b))};
}
template <> NN_INLINE vd load_u8<double>(const uint8_t* p, int from, int to) {
  const __m128i b = _mm_cvtsi64_si128(int64_t(bytes_between(p, 4, from, to)));
  return {_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(b))};
}
NN_INLINE void store_u8(uint8_t* p, vf a, int n) {
  const __m256i i = _mm256_cvtps_epi32(a.v);
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
  const uint64_t bytes = uint64_t(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
  memcpy(p, &bytes, n < 8 ? (n > 0 ? size_t(n) : 0) : 8);
}
NN_INLINE void store_u8(uint8_t* p, vd a, int n) {
  const __m128i i = _mm256_cvtpd_epi32(a.v), words = _mm_packus_epi32(i, i);
  const uint32_t bytes = uint32_t(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
  memcpy(p, &bytes, n < 4 ? (n > 0 ? size_t(n) : 0) : 4);
}

NN_INLINE vf operator+(vf a, vf b) { return {_mm256_add_ps(a.v, b.v)}; }
NN_INLINE vd operator+(vd a, vd b) { return {_mm256_add_pd(a.v, b.v)}; }
NN_INLINE vf operator-(vf a, vf b) { return {_mm256_sub_ps(a.v, b.v)}; }
NN_INLINE vd operator-(vd a, vd b) { return {_mm256_sub_pd(a.v, b.v)}; }
NN_INLINE vf operator*(vf a, vf b) { return {_mm256_mul_ps(a.v, b.v)}; }
NN_INLINE vd operator*(vd a, vd b) { return {_mm256_mul_pd(a.v, b.v)}; }
NN_INLINE vf operator/(vf a, vf b) { return {_mm256_div_ps(a.v, b.v)}; }
NN_INLINE vd operator/(vd a, vd b) { return {_mm256_div_pd(a.v, b.v)}; }
NN_INLINE vf operator-(vf a) { return {-a.v}; }
NN_INLINE vd operator-(vd a) { return {-a.v}; }
NN_INLINE vf fma(vf a, vf b, vf c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
NN_INLINE vd fma(vd a, vd b, vd c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
NN_INLINE vf fnma(vf a, vf b, vf c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
NN_INLINE vd fnma(vd a, vd b, vd c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
template <class T> NN_INLINE vec<T> mul_add(vec<T> a, vec<T> b, vec<T> c) { return fma(a, b, c); }
template <class T> NN_INLINE vec<T> neg_mul_add(vec<T> a, vec<T> b, vec<T> c) { return fnma(a, b, c); }
NN_INLINE vf reciprocal(vf a) { return set1(1.0f) / a; }
NN_INLINE vd reciprocal(vd a) { return set1(1.0) / a; }
NN_INLINE vf min(vf a, vf b) { return {_mm256_min_ps(a.v, b.v)}; }
NN_INLINE vd min(vd a, vd b) { return {_mm256_min_pd(a.v, b.v)}; }
NN_INLINE vf max(vf a, vf b) { return {_mm256_max_ps(a.v, b.v)}; }
NN_INLINE vd max(vd a, vd b) { return {_mm256_max_pd(a.v, b.v)}; }

NN_INLINE vf abs(vf a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
NN_INLINE vd abs(vd a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
NN_INLINE vf sqrt(vf a) { return {_mm256_sqrt_ps(a.v)}; }
NN_INLINE vd sqrt(vd a) { return {_mm256_sqrt_pd(a.v)}; }
NN_INLINE vf round(vf a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
NN_INLINE vd round(vd a) { return {_mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
NN_INLINE vf floor(vf a) { return {_mm256_floor_ps(a.v)}; }
NN_INLINE vd floor(vd a) { return {_mm256_floor_pd(a.v)}; }
NN_INLINE vf ceil(vf a) { return {_mm256_ceil_ps(a.v)}; }
NN_INLINE vd ceil(vd a) { return {_mm256_ceil_pd(a.v)}; }
NN_INLINE vf trunc(vf a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }
NN_INLINE vd trunc(vd a) { return {_mm256_round_pd(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }
NN_INLINE vf copysign(vf a, vf s) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.v), _mm256_and_ps(sign, s.v))};
}
NN_INLINE vd copysign(vd a, vd s) {
  __m256d sign = _mm256_set1_pd(-0.0);
  return {_mm256_or_pd(_mm256_andnot_pd(sign, a.v), _mm256_and_pd(sign, s.v))};
}

NN_INLINE mask<float> lt(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
NN_INLINE mask<double> lt(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
NN_INLINE mask<float> le(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
NN_INLINE mask<double> le(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ)}; }
NN_INLINE mask<float> gt(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
NN_INLINE mask<double> gt(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ)}; }
NN_INLINE mask<float> ge(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
NN_INLINE mask<double> ge(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ)}; }
NN_INLINE mask<float> eq(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
NN_INLINE mask<double> eq(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ)}; }
NN_INLINE mask<float> ne(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }
NN_INLINE mask<double> ne(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_NEQ_UQ)}; }
NN_INLINE mask<float> is_nan(vf a) { return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<double> is_nan(vd a) { return {_mm256_cmp_pd(a.v, a.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<float> unordered(vf a, vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<double> unordered(vd a, vd b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<float> operator&(mask<float> a, mask<float> b) { return {_mm256_and_ps(a.m, b.m)}; }
NN_INLINE mask<double> operator&(mask<double> a, mask<double> b) { return {_mm256_and_pd(a.m, b.m)}; }
NN_INLINE mask<float> operator|(mask<float> a, mask<float> b) { return {_mm256_or_ps(a.m, b.m)}; }
NN_INLINE mask<double> operator|(mask<double> a, mask<double> b) { return {_mm256_or_pd(a.m, b.m)}; }
NN_INLINE mask<float> operator~(mask<float> a) {
  return {_mm256_xor_ps(a.m, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
NN_INLINE mask<double> operator~(mask<double> a) {
  return {_mm256_xor_pd(a.m, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))};
}
NN_INLINE bool any(mask<float> a) { return _mm256_movemask_ps(a.m) != 0; }
NN_INLINE bool any(mask<double> a) { return _mm256_movemask_pd(a.m) != 0; }
NN_INLINE bool all(mask<float> a) { return _mm256_movemask_ps(a.m) == 0xff; }
NN_INLINE bool all(mask<double> a) { return _mm256_movemask_pd(a.m) == 0xf; }
NN_INLINE vf select(mask<float> m, vf a, vf b) { return {_mm256_blendv_ps(b.v, a.v, m.m)}; }
NN_INLINE vd select(mask<double> m, vd a, vd b) { return {_mm256_blendv_pd(b.v, a.v, m.m)}; }
template <class T> NN_INLINE mask<T> first(int n);
template <> NN_INLINE mask<float> first<float>(int n) { return {_mm256_castsi256_ps(lanes8(n))}; }
template <> NN_INLINE mask<double> first<double>(int n) { return {_mm256_castsi256_pd(lanes4(n))}; }
template <class T> NN_INLINE mask<T> eq_u8(const uint8_t* p, uint8_t x, int n);
template <> NN_INLINE mask<float> eq_u8<float>(const uint8_t* p, uint8_t x, int n) {
  const __m128i same =
      _mm_cmpeq_epi8(_mm_cvtsi64_si128(int64_t(bytes_between(p, 8, 0, n))), _mm_set1_epi8(char(x)));
  return mask<float>{_mm256_castsi256_ps(_mm256_cvtepi8_epi32(same))} & first<float>(n);
}
template <> NN_INLINE mask<double> eq_u8<double>(const uint8_t* p, uint8_t x, int n) {
  const __m128i same =
      _mm_cmpeq_epi8(_mm_cvtsi64_si128(int64_t(bytes_between(p, 4, 0, n))), _mm_set1_epi8(char(x)));
  return mask<double>{_mm256_castsi256_pd(_mm256_cvtepi8_epi64(same))} & first<double>(n);
}
NN_INLINE vf load_where(mask<float> m, const float* p) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.m))};
}
NN_INLINE vd load_where(mask<double> m, const double* p) {
  return {_mm256_maskload_pd(p, _mm256_castpd_si256(m.m))};
}
NN_INLINE void store_bool(uint8_t* p, mask<float> a, int n) {
  uint64_t bytes = _pdep_u64(uint64_t(_mm256_movemask_ps(a.m)), 0x0101010101010101ull);
  memcpy(p, &bytes, n < 8 ? (n > 0 ? size_t(n) : 0) : 8);
}
NN_INLINE void store_bool(uint8_t* p, mask<double> a, int n) {
  uint32_t bytes = _pdep_u32(uint32_t(_mm256_movemask_pd(a.m)), 0x01010101u);
  memcpy(p, &bytes, n < 4 ? (n > 0 ? size_t(n) : 0) : 4);
}
template <class T> NN_INLINE mask<T> load_bool(const uint8_t* p, int n);
template <> NN_INLINE mask<float> load_bool<float>(const uint8_t* p, int n) {
  uint64_t bytes = 0;
  memcpy(&bytes, p, n < 8 ? (n > 0 ? size_t(n) : 0) : 8);
  __m256i x = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(int64_t(bytes)));
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(x, _mm256_setzero_si256()))};
}
template <> NN_INLINE mask<double> load_bool<double>(const uint8_t* p, int n) {
  uint32_t bytes = 0;
  memcpy(&bytes, p, n < 4 ? (n > 0 ? size_t(n) : 0) : 4);
  __m256i x = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(int(bytes)));
  return {_mm256_castsi256_pd(_mm256_cmpgt_epi64(x, _mm256_setzero_si256()))};
}

// 2^n for integral n within the normal exponents.
NN_INLINE vf pow2(vf n) {
  __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(e, 23))};
}
NN_INLINE vd pow2(vd n) {
  // 2^52 + 2^51 + n + 1023 has the biased exponent in its low mantissa bits
  __m256d shifted = _mm256_add_pd(n.v, _mm256_set1_pd(6755399441055744.0 + 1023.0));
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(shifted), 52))};
}
// In three parts, because 2^n itself may leave the range when a * 2^n does not.
NN_INLINE vf scale2(vf a, vf n) {
  n = max(set1(-300.f), min(set1(300.f), n));
  const vf third = floor(n * set1(1 / 3.f)), part = pow2(third);
  return a * part * part * pow2(n - third - third);
}
NN_INLINE vd scale2(vd a, vd n) {
  n = max(set1(-2200.), min(set1(2200.), n));
  const vd third = floor(n * set1(1 / 3.)), part = pow2(third);
  return a * part * part * pow2(n - third - third);
}
NN_INLINE vf exponent(vf a) {
  __m256i e = _mm256_srli_epi32(_mm256_castps_si256(abs(a).v), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(127)))};
}
NN_INLINE vd exponent(vd a) {
  // the biased exponent placed in the mantissa of 2^52, then 2^52 + 1023 subtracted
  __m256i e = _mm256_srli_epi64(_mm256_castpd_si256(abs(a).v), 52);
  __m256d x =
      _mm256_castsi256_pd(_mm256_or_si256(e, _mm256_castpd_si256(_mm256_set1_pd(4503599627370496.0))));
  return {_mm256_sub_pd(x, _mm256_set1_pd(4503599627370496.0 + 1023.0))};
}
NN_INLINE vf mantissa(vf a) {
  __m256i bits = _mm256_and_si256(_mm256_castps_si256(a.v), _mm256_set1_epi32(int(0x807fffffu)));
  return {_mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3f800000)))};
}
NN_INLINE vd mantissa(vd a) {
  __m256i bits =
      _mm256_and_si256(_mm256_castpd_si256(a.v), _mm256_set1_epi64x(int64_t(0x800fffffffffffffull)));
  return {_mm256_castsi256_pd(_mm256_or_si256(bits, _mm256_set1_epi64x(0x3ff0000000000000)))};
}

template <int low = 18>
NN_INLINE vf leading_entry(const float* table, vf a) {  // a gather takes twice as long
  const __m256i i = _mm256_srli_epi32(_mm256_castps_si256(a.v), low);
  const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)),
               bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(i, 27));
  const auto eight = [&](int at) { return _mm256_permutevar8x32_ps(_mm256_load_ps(table + at), i); };
  return {_mm256_blendv_ps(_mm256_blendv_ps(eight(0), eight(8), bit3),
                           _mm256_blendv_ps(eight(16), eight(24), bit3), bit4)};
}

NN_INLINE float sum(vf a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
NN_INLINE double sum(vd a) {
  __m128d x = _mm_add_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
}
NN_INLINE float reduce_min(vf a) {
  __m128 x = _mm_min_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_min_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}
NN_INLINE double reduce_min(vd a) {
  __m128d x = _mm_min_pd(_mm256_castpd256_pd128(a.v), _mm256_extractf128_pd(a.v, 1));
  return _mm_cvtsd_f64(_mm_min_sd(x, _mm_unpackhi_pd(x, x)));
}
NN_INLINE float reduce_max(vf a) { return -reduce_min(-a); }
NN_INLINE double reduce_max(vd a) { return -reduce_min(-a); }

NN_INLINE void transpose(vf* r) {
  __m256 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  __m256 u[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i].v = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    r[i + 4].v = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
}
NN_INLINE void transpose(vd* r) {
  __m256d a = _mm256_unpacklo_pd(r[0].v, r[1].v), b = _mm256_unpackhi_pd(r[0].v, r[1].v);
  __m256d c = _mm256_unpacklo_pd(r[2].v, r[3].v), d = _mm256_unpackhi_pd(r[2].v, r[3].v);
  r[0].v = _mm256_permute2f128_pd(a, c, 0x20);
  r[1].v = _mm256_permute2f128_pd(b, d, 0x20);
  r[2].v = _mm256_permute2f128_pd(a, c, 0x31);
  r[3].v = _mm256_permute2f128_pd(b, d, 0x31);
}

}  // namespace
}  // namespace nn
