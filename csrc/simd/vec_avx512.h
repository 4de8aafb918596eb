// AVX-512 (F, DQ, BW, VL): 16 floats or 8 doubles. The interface is explained in vec_scalar.h.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define NN_INLINE inline __attribute__((always_inline))

namespace nn {
namespace {

template <class T> struct vec;
template <> struct vec<float> {
  __m512 v;
  static constexpr int width = 16;
};
template <> struct vec<double> {
  __m512d v;
  static constexpr int width = 8;
};
template <class T> struct mask;
template <> struct mask<float> {
  __mmask16 m;
};
template <> struct mask<double> {
  __mmask8 m;
};

typedef vec<float> vf;
typedef vec<double> vd;

NN_INLINE __mmask16 lanes16(int n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : __mmask16(_bzhi_u32(0xffff, n)); }
NN_INLINE __mmask8 lanes8(int n) { return n >= 8 ? 0xff : n <= 0 ? 0 : __mmask8(_bzhi_u32(0xff, n)); }

template <class T> NN_INLINE vec<T> set1(T x);
template <> NN_INLINE vf set1<float>(float x) { return {_mm512_set1_ps(x)}; }
template <> NN_INLINE vd set1<double>(double x) { return {_mm512_set1_pd(x)}; }
template <class T> NN_INLINE vec<T> iota();
template <> NN_INLINE vf iota<float>() {
  return {_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
}
template <> NN_INLINE vd iota<double>() { return {_mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7)}; }
NN_INLINE vf load(const float* p) { return {_mm512_loadu_ps(p)}; }
NN_INLINE vd load(const double* p) { return {_mm512_loadu_pd(p)}; }
NN_INLINE vf load(const float* p, int n) { return {_mm512_maskz_loadu_ps(lanes16(n), p)}; }
NN_INLINE vd load(const double* p, int n) { return {_mm512_maskz_loadu_pd(lanes8(n), p)}; }
NN_INLINE void store(float* p, vf a) { _mm512_storeu_ps(p, a.v); }
NN_INLINE void store(double* p, vd a) { _mm512_storeu_pd(p, a.v); }
NN_INLINE void store(float* p, vf a, int n) { _mm512_mask_storeu_ps(p, lanes16(n), a.v); }
NN_INLINE void store(double* p, vd a, int n) { _mm512_mask_storeu_pd(p, lanes8(n), a.v); }
NN_INLINE void stream(float* p, vf a) { _mm512_stream_ps(p, a.v); }
NN_INLINE void stream(double* p, vd a) { _mm512_stream_pd(p, a.v); }
NN_INLINE void stream_fence() { _mm_sfence(); }
NN_INLINE vf gather(const float* p, int64_t step, int n) {
  alignas(64) float t[16] = {};
  for (int i = 0; i < (n < 16 ? n : 16); ++i) t[i] = p[i * step];
  return {_mm512_load_ps(t)};
}
NN_INLINE vd gather(const double* p, int64_t step, int n) {
  alignas(64) double t[8] = {};
  for (int i = 0; i < (n < 8 ? n : 8); ++i) t[i] = p[i * step];
  return {_mm512_load_pd(t)};
}

// Lane by lane: loads that miss the cache overlap, which those of a gather instruction hardly do.
template <class T> NN_INLINE T pick(const T* p, int32_t i) {
  static const T zero = 0;
  const T* at = p + i;
  return *(i < 0 ? &zero : at);
}
NN_INLINE __m128 pick4(const float* p, const int32_t* i) {
  return _mm_setr_ps(pick(p, i[0]), pick(p, i[1]), pick(p, i[2]), pick(p, i[3]));
}
NN_INLINE __m256 pick8(const float* p, const int32_t* i) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(pick4(p, i)), pick4(p, i + 4), 1);
}
NN_INLINE __m256d pick4(const double* p, const int32_t* i) {
  return _mm256_setr_pd(pick(p, i[0]), pick(p, i[1]), pick(p, i[2]), pick(p, i[3]));
}
NN_INLINE vf lookup(const float* p, const int32_t* index, int n) {
  alignas(64) int32_t t[16];
  if (n < 16) {
    _mm512_store_si512(t, _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), lanes16(n), index));
    index = t;
  }
  return {_mm512_insertf32x8(_mm512_castps256_ps512(pick8(p, index)), pick8(p, index + 8), 1)};
}
NN_INLINE vd lookup(const double* p, const int32_t* index, int n) {
  alignas(32) int32_t t[8];
  if (n < 8) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(t),
                       _mm256_mask_loadu_epi32(_mm256_set1_epi32(-1), lanes8(n), index));
    index = t;
  }
  return {_mm512_insertf64x4(_mm512_castpd256_pd512(pick4(p, index)), pick4(p, index + 4), 1)};
}

// For what is in L1: on Intel a gather instruction is then faster than loads lane by lane.
NN_INLINE vf lookup_near(const float* p, const int32_t* index, int n) {
  const __m512i i = _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), lanes16(n), index);
  return {_mm512_mask_i32gather_ps(_mm512_setzero_ps(), _mm512_cmpge_epi32_mask(i, _mm512_setzero_si512()), i,
                                   p, 4)};
}
NN_INLINE vd lookup_near(const double* p, const int32_t* index, int n) {
  const __m256i i = _mm256_mask_loadu_epi32(_mm256_set1_epi32(-1), lanes8(n), index);
  return {_mm512_mask_i32gather_pd(_mm512_setzero_pd(), _mm256_cmpge_epi32_mask(i, _mm256_setzero_si256()), i,
                                   p, 8)};
}

template <class T> struct places;
template <> struct places<float> {
  __m512i i;
  __mmask16 m;
};
template <> struct places<double> {
  __m512i i;
  __mmask8 m;
};
template <class T> NN_INLINE places<T> load_places(const int32_t* index);
template <> NN_INLINE places<float> load_places<float>(const int32_t* index) {
  const __m512i i = _mm512_loadu_si512(index);
  return {i, _mm512_cmpge_epi32_mask(i, _mm512_setzero_si512())};
}
template <> NN_INLINE places<double> load_places<double>(const int32_t* index) {
  const __m512i i = _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(index)));
  return {i, _mm512_cmpge_epi64_mask(i, _mm512_setzero_si512())};
}
NN_INLINE places<float> whole(places<float> p) { return {p.i, 0xffff}; }
NN_INLINE places<double> whole(places<double> p) { return {p.i, 0xff}; }
NN_INLINE vf permute(vf a, vf b, places<float> p) {
  return {_mm512_maskz_permutex2var_ps(p.m, a.v, p.i, b.v)};
}
NN_INLINE vd permute(vd a, vd b, places<double> p) {
  return {_mm512_maskz_permutex2var_pd(p.m, a.v, p.i, b.v)};
}

NN_INLINE vf load_range(const float* p, int64_t step, int from, int to) {
  const __mmask16 m = lanes16(to) & __mmask16(~lanes16(from));
  if (step == 1) return {_mm512_maskz_loadu_ps(m, p)};
  if (step == 2) {
    const uint32_t wide = _pdep_u32(m, 0x55555555u);
    const __m512 low = _mm512_maskz_loadu_ps(__mmask16(wide), p);
    const __m512 high = _mm512_maskz_loadu_ps(__mmask16(wide >> 16), p + 16);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return {_mm512_permutex2var_ps(low, even, high)};
  }
  alignas(64) float t[16] = {};
  for (int i = from > 0 ? from : 0; i < (to < 16 ? to : 16); ++i) t[i] = p[i * step];
  return {_mm512_load_ps(t)};
}
NN_INLINE vd load_range(const double* p, int64_t step, int from, int to) {
  const __mmask8 m = lanes8(to) & __mmask8(~lanes8(from));
  if (step == 1) return {_mm512_maskz_loadu_pd(m, p)};
  if (step == 2) {
    const uint32_t wide = _pdep_u32(m, 0x5555u);
    const __m512d low = _mm512_maskz_loadu_pd(__mmask8(wide), p);
    const __m512d high = _mm512_maskz_loadu_pd(__mmask8(wide >> 8), p + 8);
    return {_mm512_permutex2var_pd(low, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), high)};
  }
  alignas(64) double t[8] = {};
  for (int i = from > 0 ? from : 0; i < (to < 8 ? to : 8); ++i) t[i] = p[i * step];
  return {_mm512_load_pd(t)};
}

NN_INLINE void store_range(float* p, vf a, int from, int to) {
  _mm512_mask_storeu_ps(p, lanes16(to) & __mmask16(~lanes16(from)), a.v);
}
NN_INLINE void store_range(double* p, vd a, int from, int to) {
  _mm512_mask_storeu_pd(p, lanes8(to) & __mmask8(~lanes8(from)), a.v);
}

NN_INLINE vf even(vf a, vf b) {
  const __m512i i = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return {_mm512_permutex2var_ps(a.v, i, b.v)};
}
NN_INLINE vd even(vd a, vd b) {
  return {_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b.v)};
}
NN_INLINE vf odd(vf a, vf b) {
  const __m512i i = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return {_mm512_permutex2var_ps(a.v, i, b.v)};
}
NN_INLINE vd odd(vd a, vd b) {
  return {_mm512_permutex2var_pd(a.v, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), b.v)};
}
NN_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  const __m512i l = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i h = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  low.v = _mm512_permutex2var_ps(a.v, l, b.v), high.v = _mm512_permutex2var_ps(a.v, h, b.v);
}
NN_INLINE void interleave(vd a, vd b, vd& low, vd& high) {
  low.v = _mm512_permutex2var_pd(a.v, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b.v);
  high.v = _mm512_permutex2var_pd(a.v, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b.v);
}
template <class T> NN_INLINE vec<T> load_u8(const uint8_t* p, int from, int to);
template <> NN_INLINE vf load_u8<float>(const uint8_t* p, int from, int to) {
  const __m128i b = _mm_maskz_loadu_epi8(lanes16(to) & __mmask16(~lanes16(from)), p);
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b))};
}
template <> NN_INLINE vd load_u8<double>(const uint8_t* p, int from, int to) {
  const __m128i b = _mm_maskz_loadu_epi8(lanes8(to) & __mmask8(~lanes8(from)), p);
  return {_mm512_cvtepi64_pd(_mm512_cvtepu8_epi64(b))};
}
template <class T> NN_INLINE mask<T> eq_u8(const uint8_t* p, uint8_t x, int n);
template <> NN_INLINE mask<float> eq_u8<float>(const uint8_t* p, uint8_t x, int n) {
  return {_mm_mask_cmpeq_epi8_mask(lanes16(n), _mm_maskz_loadu_epi8(lanes16(n), p), _mm_set1_epi8(char(x)))};
}
template <> NN_INLINE mask<double> eq_u8<double>(const uint8_t* p, uint8_t x, int n) {
  const __m128i b = _mm_maskz_loadu_epi8(lanes8(n), p);
  return {__mmask8(_mm_mask_cmpeq_epi8_mask(lanes8(n), b, _mm_set1_epi8(char(x))))};
}
NN_INLINE void store_u8(uint8_t* p, vf a, int n) {
  _mm_mask_storeu_epi8(p, lanes16(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
NN_INLINE void store_u8(uint8_t* p, vd a, int n) {
  _mm_mask_storeu_epi8(p, lanes8(n), _mm512_cvtepi64_epi8(_mm512_cvtpd_epi64(a.v)));
}

NN_INLINE vf operator+(vf a, vf b) { return {_mm512_add_ps(a.v, b.v)}; }
NN_INLINE vd operator+(vd a, vd b) { return {_mm512_add_pd(a.v, b.v)}; }
NN_INLINE vf operator-(vf a, vf b) { return {_mm512_sub_ps(a.v, b.v)}; }
NN_INLINE vd operator-(vd a, vd b) { return {_mm512_sub_pd(a.v, b.v)}; }
NN_INLINE vf operator*(vf a, vf b) { return {_mm512_mul_ps(a.v, b.v)}; }
NN_INLINE vd operator*(vd a, vd b) { return {_mm512_mul_pd(a.v, b.v)}; }
NN_INLINE vf operator/(vf a, vf b) { return {_mm512_div_ps(a.v, b.v)}; }
NN_INLINE vd operator/(vd a, vd b) { return {_mm512_div_pd(a.v, b.v)}; }
NN_INLINE vf operator-(vf a) { return {-a.v}; }
NN_INLINE vd operator-(vd a) { return {-a.v}; }
NN_INLINE vf fma(vf a, vf b, vf c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
NN_INLINE vd fma(vd a, vd b, vd c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
NN_INLINE vf fnma(vf a, vf b, vf c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
NN_INLINE vd fnma(vd a, vd b, vd c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
template <class T> NN_INLINE vec<T> mul_add(vec<T> a, vec<T> b, vec<T> c) { return fma(a, b, c); }
template <class T> NN_INLINE vec<T> neg_mul_add(vec<T> a, vec<T> b, vec<T> c) { return fnma(a, b, c); }
NN_INLINE vf reciprocal(vf a) {  // a quarter of the time of a division
  const vf r = {_mm512_rcp14_ps(a.v)};
  return fma(r, fnma(a, r, set1(1.0f)), r);
}
NN_INLINE vd reciprocal(vd a) { return set1(1.0) / a; }
NN_INLINE vf min(vf a, vf b) { return {_mm512_min_ps(a.v, b.v)}; }
NN_INLINE vd min(vd a, vd b) { return {_mm512_min_pd(a.v, b.v)}; }
NN_INLINE vf max(vf a, vf b) { return {_mm512_max_ps(a.v, b.v)}; }
NN_INLINE vd max(vd a, vd b) { return {_mm512_max_pd(a.v, b.v)}; }

NN_INLINE vf abs(vf a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
NN_INLINE vd abs(vd a) { return {_mm512_andnot_pd(_mm512_set1_pd(-0.0), a.v)}; }
NN_INLINE vf sqrt(vf a) { return {_mm512_sqrt_ps(a.v)}; }
NN_INLINE vd sqrt(vd a) { return {_mm512_sqrt_pd(a.v)}; }
NN_INLINE vf round(vf a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
NN_INLINE vd round(vd a) {
  return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
NN_INLINE vf floor(vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
NN_INLINE vd floor(vd a) { return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
NN_INLINE vf ceil(vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)}; }
NN_INLINE vd ceil(vd a) { return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)}; }
NN_INLINE vf trunc(vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }
NN_INLINE vd trunc(vd a) { return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)}; }
NN_INLINE vf copysign(vf a, vf s) {
  __m512 sign = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(sign, a.v), _mm512_and_ps(sign, s.v))};
}
NN_INLINE vd copysign(vd a, vd s) {
  __m512d sign = _mm512_set1_pd(-0.0);
  return {_mm512_or_pd(_mm512_andnot_pd(sign, a.v), _mm512_and_pd(sign, s.v))};
}

NN_INLINE mask<float> lt(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
NN_INLINE mask<double> lt(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ)}; }
NN_INLINE mask<float> le(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
NN_INLINE mask<double> le(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ)}; }
NN_INLINE mask<float> gt(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
NN_INLINE mask<double> gt(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ)}; }
NN_INLINE mask<float> ge(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
NN_INLINE mask<double> ge(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ)}; }
NN_INLINE mask<float> eq(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
NN_INLINE mask<double> eq(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ)}; }
NN_INLINE mask<float> ne(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
NN_INLINE mask<double> ne(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
NN_INLINE mask<float> is_nan(vf a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<double> is_nan(vd a) { return {_mm512_cmp_pd_mask(a.v, a.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<float> unordered(vf a, vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<double> unordered(vd a, vd b) { return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_UNORD_Q)}; }
NN_INLINE mask<float> operator&(mask<float> a, mask<float> b) { return {__mmask16(a.m & b.m)}; }
NN_INLINE mask<double> operator&(mask<double> a, mask<double> b) { return {__mmask8(a.m & b.m)}; }
NN_INLINE mask<float> operator|(mask<float> a, mask<float> b) { return {__mmask16(a.m | b.m)}; }
NN_INLINE mask<double> operator|(mask<double> a, mask<double> b) { return {__mmask8(a.m | b.m)}; }
NN_INLINE mask<float> operator~(mask<float> a) { return {__mmask16(~a.m)}; }
NN_INLINE mask<double> operator~(mask<double> a) { return {__mmask8(~a.m)}; }
NN_INLINE bool any(mask<float> a) { return a.m != 0; }
NN_INLINE bool any(mask<double> a) { return a.m != 0; }
NN_INLINE bool all(mask<float> a) { return a.m == 0xffff; }
NN_INLINE bool all(mask<double> a) { return a.m == 0xff; }
NN_INLINE vf select(mask<float> m, vf a, vf b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }
NN_INLINE vd select(mask<double> m, vd a, vd b) { return {_mm512_mask_blend_pd(m.m, b.v, a.v)}; }
template <class T> NN_INLINE mask<T> first(int n);
template <> NN_INLINE mask<float> first<float>(int n) { return {lanes16(n)}; }
template <> NN_INLINE mask<double> first<double>(int n) { return {lanes8(n)}; }
NN_INLINE vf load_where(mask<float> m, const float* p) { return {_mm512_maskz_loadu_ps(m.m, p)}; }
NN_INLINE vd load_where(mask<double> m, const double* p) { return {_mm512_maskz_loadu_pd(m.m, p)}; }
NN_INLINE void store_bool(uint8_t* p, mask<float> a, int n) {
  _mm_mask_storeu_epi8(p, lanes16(n), _mm_maskz_set1_epi8(a.m, 1));
}
NN_INLINE void store_bool(uint8_t* p, mask<double> a, int n) {
  _mm_mask_storeu_epi8(p, lanes8(n), _mm_maskz_set1_epi8(a.m, 1));
}
template <class T> NN_INLINE mask<T> load_bool(const uint8_t* p, int n);
template <> NN_INLINE mask<float> load_bool<float>(const uint8_t* p, int n) {
  __m128i b = _mm_maskz_loadu_epi8(lanes16(n), p);
  return {_mm_test_epi8_mask(b, b)};
}
template <> NN_INLINE mask<double> load_bool<double>(const uint8_t* p, int n) {
  __m128i b = _mm_maskz_loadu_epi8(lanes8(n), p);
  return {__mmask8(_mm_test_epi8_mask(b, b))};
}

NN_INLINE vf scale2(vf a, vf n) { return {_mm512_scalef_ps(a.v, n.v)}; }
NN_INLINE vd scale2(vd a, vd n) { return {_mm512_scalef_pd(a.v, n.v)}; }
NN_INLINE vf exponent(vf a) { return {_mm512_getexp_ps(a.v)}; }
NN_INLINE vd exponent(vd a) { return {_mm512_getexp_pd(a.v)}; }
NN_INLINE vf mantissa(vf a) { return {_mm512_getmant_ps(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)}; }
NN_INLINE vd mantissa(vd a) { return {_mm512_getmant_pd(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)}; }

template <int low = 18> NN_INLINE vf leading_entry(const float* table, vf a) {
  const __m512i i = _mm512_srli_epi32(_mm512_castps_si512(a.v), low);
  return {_mm512_permutex2var_ps(_mm512_load_ps(table), i, _mm512_load_ps(table + 16))};
}

NN_INLINE float sum(vf a) { return _mm512_reduce_add_ps(a.v); }
NN_INLINE double sum(vd a) { return _mm512_reduce_add_pd(a.v); }
NN_INLINE float reduce_min(vf a) { return _mm512_reduce_min_ps(a.v); }
NN_INLINE double reduce_min(vd a) { return _mm512_reduce_min_pd(a.v); }
NN_INLINE float reduce_max(vf a) { return _mm512_reduce_max_ps(a.v); }
NN_INLINE double reduce_max(vd a) { return _mm512_reduce_max_pd(a.v); }

// The lower half of a register, for the last columns of products: Zen 4 computes a register in two halves.
template <class T> struct half;
template <> struct half<float> {
  __m256 v;
  static constexpr int width = 8;
};
template <> struct half<double> {
  __m256d v;
  static constexpr int width = 4;
};
NN_INLINE half<float> half1(float x) { return {_mm256_set1_ps(x)}; }
NN_INLINE half<double> half1(double x) { return {_mm256_set1_pd(x)}; }
NN_INLINE half<float> load_half(mask<float> m, const float* p) {
  return {_mm256_maskz_loadu_ps(__mmask8(m.m), p)};
}
NN_INLINE half<double> load_half(mask<double> m, const double* p) { return {_mm256_maskz_loadu_pd(m.m, p)}; }
NN_INLINE half<float> mul_add(half<float> a, half<float> b, half<float> c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
NN_INLINE half<double> mul_add(half<double> a, half<double> b, half<double> c) {
  return {_mm256_fmadd_pd(a.v, b.v, c.v)};
}
NN_INLINE vf widen(half<float> a) { return {_mm512_castps256_ps512(a.v)}; }
NN_INLINE vd widen(half<double> a) { return {_mm512_castpd256_pd512(a.v)}; }

// log2(width) rounds of interleaving row i with row i + width/2: a perfect shuffle each, so 4 (3) rounds
// transpose.
NN_INLINE void transpose(vf* r) {
  const __m512i lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i hi = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    vf t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      t[2 * i].v = _mm512_permutex2var_ps(r[i].v, lo, r[i + 8].v);
      t[2 * i + 1].v = _mm512_permutex2var_ps(r[i].v, hi, r[i + 8].v);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = t[i];
  }
}
NN_INLINE void transpose(vd* r) {
  const __m512i lo = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  const __m512i hi = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
#pragma GCC unroll 3
  for (int round = 0; round < 3; ++round) {
    vd t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[2 * i].v = _mm512_permutex2var_pd(r[i].v, lo, r[i + 4].v);
      t[2 * i + 1].v = _mm512_permutex2var_pd(r[i].v, hi, r[i + 4].v);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = t[i];
  }
}

}  // namespace
}  // namespace nn
