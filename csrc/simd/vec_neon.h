// NEON (Advanced SIMD, aarch64): 4 floats or 2 doubles. The interface is explained in vec_scalar.h.
#pragma once
#include <arm_neon.h>
#include <stdint.h>

#define NN_INLINE inline __attribute__((always_inline))

namespace nn {
namespace {

template <class T> struct vec;
template <> struct vec<float> {
  float32x4_t v;
  static constexpr int width = 4;
};
template <> struct vec<double> {
  float64x2_t v;
  static constexpr int width = 2;
};
template <class T> struct mask;
template <> struct mask<float> {
  uint32x4_t m;
};
template <> struct mask<double> {
  uint64x2_t m;
};

typedef vec<float> vf;
typedef vec<double> vd;

template <class T> NN_INLINE vec<T> set1(T x);
template <> NN_INLINE vf set1<float>(float x) { return {vdupq_n_f32(x)}; }
template <> NN_INLINE vd set1<double>(double x) { return {vdupq_n_f64(x)}; }
NN_INLINE vf load(const float* p) { return {vld1q_f32(p)}; }
NN_INLINE vd load(const double* p) { return {vld1q_f64(p)}; }
template <class T> NN_INLINE vec<T> iota();
template <> NN_INLINE vf iota<float>() {
  const float i[4] = {0, 1, 2, 3};
  return load(i);
}
template <> NN_INLINE vd iota<double>() {
  const double i[2] = {0, 1};
  return load(i);
}
NN_INLINE vf gather(const float* p, int64_t step, int n) {
  float t[4] = {};
  for (int i = 0; i < (n < 4 ? n : 4); ++i) t[i] = p[i * step];
  return load(t);
}
NN_INLINE vd gather(const double* p, int64_t step, int n) {
  double t[2] = {};
  for (int i = 0; i < (n < 2 ? n : 2); ++i) t[i] = p[i * step];
  return load(t);
}
NN_INLINE vf load(const float* p, int n) { return n >= 4 ? load(p) : gather(p, 1, n); }
NN_INLINE vd load(const double* p, int n) { return n >= 2 ? load(p) : gather(p, 1, n); }
NN_INLINE void store(float* p, vf a) { vst1q_f32(p, a.v); }
NN_INLINE void store(double* p, vd a) { vst1q_f64(p, a.v); }
NN_INLINE void store(float* p, vf a, int n) {
  if (n >= 4) return store(p, a);
  float t[4];
  store(t, a);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}
NN_INLINE void store(double* p, vd a, int n) {
  if (n >= 2) return store(p, a);
  if (n == 1) *p = vgetq_lane_f64(a.v, 0);
}
NN_INLINE void stream(float* p, vf a) { store(p, a); }
NN_INLINE void stream(double* p, vd a) { store(p, a); }
NN_INLINE void stream_fence() {}

// The bytes to take of both registers; those beyond them give 0.
template <class T> struct places {
  uint8x16_t bytes;
};
template <class T> NN_INLINE places<T> load_places(const int32_t* index);
template <> NN_INLINE places<float> load_places<float>(const int32_t* index) {
  const uint32x4_t i = vreinterpretq_u32_s32(vld1q_s32(index));
  return {vreinterpretq_u8_u32(vmlaq_n_u32(vdupq_n_u32(0x03020100), i, 0x04040404))};
}
template <> NN_INLINE places<double> load_places<double>(const int32_t* index) {
  constexpr uint64_t step = 0x0808080808080808, first = 0x0706050403020100;
  const uint64_t bytes[2] = {uint64_t(int64_t(index[0])) * step + first,
                             uint64_t(int64_t(index[1])) * step + first};
  return {vreinterpretq_u8_u64(vld1q_u64(bytes))};
}
template <class T> NN_INLINE places<T> whole(places<T> p) { return p; }
NN_INLINE vf permute(vf a, vf b, places<float> p) {
  const uint8x16x2_t t = {{vreinterpretq_u8_f32(a.v), vreinterpretq_u8_f32(b.v)}};
  return {vreinterpretq_f32_u8(vqtbl2q_u8(t, p.bytes))};
}
NN_INLINE vd permute(vd a, vd b, places<double> p) {
  const uint8x16x2_t t = {{vreinterpretq_u8_f64(a.v), vreinterpretq_u8_f64(b.v)}};
  return {vreinterpretq_f64_u8(vqtbl2q_u8(t, p.bytes))};
}

template <class T> NN_INLINE vec<T> lookup(const T* p, const int32_t* index, int n) {
  T t[vec<T>::width] = {};
  for (int i = 0; i < (n < vec<T>::width ? n : vec<T>::width); ++i)
    if (index[i] >= 0) t[i] = p[index[i]];
  return load(t);
}
template <class T> NN_INLINE vec<T> lookup_near(const T* p, const int32_t* index, int n) {
  return lookup(p, index, n);
}

NN_INLINE vf load_range(const float* p, int64_t step, int from, int to) {
  if (step == 1 && from <= 0 && to >= 4) return load(p);
  float t[4] = {};
  for (int i = from > 0 ? from : 0; i < (to < 4 ? to : 4); ++i) t[i] = p[i * step];
  return load(t);
}
NN_INLINE vd load_range(const double* p, int64_t step, int from, int to) {
  if (step == 1 && from <= 0 && to >= 2) return load(p);
  double t[2] = {};
  for (int i = from > 0 ? from : 0; i < (to < 2 ? to : 2); ++i) t[i] = p[i * step];
  return load(t);
}

template <class T> NN_INLINE void store_range(T* p, vec<T> a, int from, int to) {
  constexpr int W = vec<T>::width;
  if (from <= 0 && to >= W) return store(p, a);
  T t[W];
  store(t, a);
  for (int i = from > 0 ? from : 0; i < (to < W ? to : W); ++i) p[i] = t[i];
}

NN_INLINE vf even(vf a, vf b) { return {vuzp1q_f32(a.v, b.v)}; }
NN_INLINE vd even(vd a, vd b) { return {vuzp1q_f64(a.v, b.v)}; }
NN_INLINE vf odd(vf a, vf b) { return {vuzp2q_f32(a.v, b.v)}; }
NN_INLINE vd odd(vd a, vd b) { return {vuzp2q_f64(a.v, b.v)}; }
NN_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  low.v = vzip1q_f32(a.v, b.v), high.v = vzip2q_f32(a.v, b.v);
}
NN_INLINE void interleave(vd a, vd b, vd& low, vd& high) {
  low.v = vzip1q_f64(a.v, b.v), high.v = vzip2q_f64(a.v, b.v);
}
template <class T> NN_INLINE vec<T> load_u8(const uint8_t* p, int from, int to) {
  T t[vec<T>::width] = {};
  for (int i = from > 0 ? from : 0; i < (to < vec<T>::width ? to : vec<T>::width); ++i) t[i] = T(p[i]);
  return load(t);
}
template <class T> NN_INLINE void store_u8(uint8_t* p, vec<T> a, int n) {
  T t[vec<T>::width];
  store(t, a);
  for (int i = 0; i < (n < vec<T>::width ? n : vec<T>::width); ++i) p[i] = uint8_t(t[i]);
}

NN_INLINE vf operator+(vf a, vf b) { return {vaddq_f32(a.v, b.v)}; }
NN_INLINE vd operator+(vd a, vd b) { return {vaddq_f64(a.v, b.v)}; }
NN_INLINE vf operator-(vf a, vf b) { return {vsubq_f32(a.v, b.v)}; }
NN_INLINE vd operator-(vd a, vd b) { return {vsubq_f64(a.v, b.v)}; }
NN_INLINE vf operator*(vf a, vf b) { return {vmulq_f32(a.v, b.v)}; }
NN_INLINE vd operator*(vd a, vd b) { return {vmulq_f64(a.v, b.v)}; }
NN_INLINE vf operator/(vf a, vf b) { return {vdivq_f32(a.v, b.v)}; }
NN_INLINE vd operator/(vd a, vd b) { return {vdivq_f64(a.v, b.v)}; }
NN_INLINE vf operator-(vf a) { return {vnegq_f32(a.v)}; }
NN_INLINE vd operator-(vd a) { return {vnegq_f64(a.v)}; }
NN_INLINE vf fma(vf a, vf b, vf c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
NN_INLINE vd fma(vd a, vd b, vd c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
NN_INLINE vf fnma(vf a, vf b, vf c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
NN_INLINE vd fnma(vd a, vd b, vd c) { return {vfmsq_f64(c.v, a.v, b.v)}; }
template <class T> NN_INLINE vec<T> mul_add(vec<T> a, vec<T> b, vec<T> c) { return fma(a, b, c); }
template <class T> NN_INLINE vec<T> neg_mul_add(vec<T> a, vec<T> b, vec<T> c) { return fnma(a, b, c); }
NN_INLINE vf reciprocal(vf a) { return set1(1.0f) / a; }
NN_INLINE vd reciprocal(vd a) { return set1(1.0) / a; }

NN_INLINE mask<float> lt(vf a, vf b) { return {vcltq_f32(a.v, b.v)}; }
NN_INLINE mask<double> lt(vd a, vd b) { return {vcltq_f64(a.v, b.v)}; }
NN_INLINE mask<float> le(vf a, vf b) { return {vcleq_f32(a.v, b.v)}; }
NN_INLINE mask<double> le(vd a, vd b) { return {vcleq_f64(a.v, b.v)}; }
NN_INLINE mask<float> gt(vf a, vf b) { return {vcgtq_f32(a.v, b.v)}; }
NN_INLINE mask<double> gt(vd a, vd b) { return {vcgtq_f64(a.v, b.v)}; }
NN_INLINE mask<float> ge(vf a, vf b) { return {vcgeq_f32(a.v, b.v)}; }
NN_INLINE mask<double> ge(vd a, vd b) { return {vcgeq_f64(a.v, b.v)}; }
NN_INLINE mask<float> eq(vf a, vf b) { return {vceqq_f32(a.v, b.v)}; }
NN_INLINE mask<double> eq(vd a, vd b) { return {vceqq_f64(a.v, b.v)}; }
NN_INLINE mask<float> operator&(mask<float> a, mask<float> b) { return {vandq_u32(a.m, b.m)}; }
NN_INLINE mask<double> operator&(mask<double> a, mask<double> b) { return {vandq_u64(a.m, b.m)}; }
NN_INLINE mask<float> operator|(mask<float> a, mask<float> b) { return {vorrq_u32(a.m, b.m)}; }
NN_INLINE mask<double> operator|(mask<double> a, mask<double> b) { return {vorrq_u64(a.m, b.m)}; }
NN_INLINE mask<float> operator~(mask<float> a) { return {vmvnq_u32(a.m)}; }
NN_INLINE mask<double> operator~(mask<double> a) {
  return {vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a.m)))};
}
NN_INLINE mask<float> ne(vf a, vf b) { return ~eq(a, b); }
NN_INLINE mask<double> ne(vd a, vd b) { return ~eq(a, b); }
NN_INLINE mask<float> is_nan(vf a) { return ~eq(a, a); }
NN_INLINE mask<double> is_nan(vd a) { return ~eq(a, a); }
NN_INLINE mask<float> unordered(vf a, vf b) { return is_nan(a) | is_nan(b); }
NN_INLINE mask<double> unordered(vd a, vd b) { return is_nan(a) | is_nan(b); }
template <class T> NN_INLINE mask<T> eq_u8(const uint8_t* p, uint8_t x, int n) {
  T t[vec<T>::width];
  for (int i = 0; i < vec<T>::width; ++i) t[i] = T(i < n && p[i] == x);
  return ne(load(t), set1(T(0)));
}
NN_INLINE bool any(mask<float> a) { return vmaxvq_u32(a.m) != 0; }
NN_INLINE bool any(mask<double> a) { return (vgetq_lane_u64(a.m, 0) | vgetq_lane_u64(a.m, 1)) != 0; }
NN_INLINE bool all(mask<float> a) { return vminvq_u32(a.m) != 0; }
NN_INLINE bool all(mask<double> a) { return (vgetq_lane_u64(a.m, 0) & vgetq_lane_u64(a.m, 1)) != 0; }
NN_INLINE vf select(mask<float> m, vf a, vf b) { return {vbslq_f32(m.m, a.v, b.v)}; }
NN_INLINE vd select(mask<double> m, vd a, vd b) { return {vbslq_f64(m.m, a.v, b.v)}; }
NN_INLINE vf min(vf a, vf b) { return select(lt(a, b), a, b); }
NN_INLINE vd min(vd a, vd b) { return select(lt(a, b), a, b); }
NN_INLINE vf max(vf a, vf b) { return select(gt(a, b), a, b); }
NN_INLINE vd max(vd a, vd b) { return select(gt(a, b), a, b); }
template <class T> NN_INLINE mask<T> first(int n);
template <> NN_INLINE mask<float> first<float>(int n) { return lt(iota<float>(), set1(float(n))); }
template <> NN_INLINE mask<double> first<double>(int n) { return lt(iota<double>(), set1(double(n))); }
NN_INLINE vf load_where(mask<float> m, const float* p) {
  if (all(m)) return load(p);
  uint32_t wanted[4];
  vst1q_u32(wanted, m.m);
  float t[4];
  for (int i = 0; i < 4; ++i) t[i] = wanted[i] ? p[i] : 0;
  return load(t);
}
NN_INLINE vd load_where(mask<double> m, const double* p) {
  if (all(m)) return load(p);
  uint64_t wanted[2];
  vst1q_u64(wanted, m.m);
  const double t[2] = {wanted[0] ? p[0] : 0, wanted[1] ? p[1] : 0};
  return load(t);
}
NN_INLINE void store_bool(uint8_t* p, mask<float> a, int n) {
  uint32_t t[4];
  vst1q_u32(t, a.m);
  for (int i = 0; i < (n < 4 ? n : 4); ++i) p[i] = t[i] != 0;
}
NN_INLINE void store_bool(uint8_t* p, mask<double> a, int n) {
  uint64_t t[2];
  vst1q_u64(t, a.m);
  for (int i = 0; i < (n < 2 ? n : 2); ++i) p[i] = t[i] != 0;
}
template <class T> NN_INLINE mask<T> load_bool(const uint8_t* p, int n);
template <> NN_INLINE mask<float> load_bool<float>(const uint8_t* p, int n) {
  uint32_t t[4] = {};
  for (int i = 0; i < (n < 4 ? n : 4); ++i) t[i] = p[i] ? ~0u : 0;
  return {vld1q_u32(t)};
}
template <> NN_INLINE mask<double> load_bool<double>(const uint8_t* p, int n) {
  uint64_t t[2] = {};
  for (int i = 0; i < (n < 2 ? n : 2); ++i) t[i] = p[i] ? ~0ull : 0;
  return {vld1q_u64(t)};
}

NN_INLINE vf abs(vf a) { return {vabsq_f32(a.v)}; }
NN_INLINE vd abs(vd a) { return {vabsq_f64(a.v)}; }
NN_INLINE vf sqrt(vf a) { return {vsqrtq_f32(a.v)}; }
NN_INLINE vd sqrt(vd a) { return {vsqrtq_f64(a.v)}; }
NN_INLINE vf round(vf a) { return {vrndnq_f32(a.v)}; }
NN_INLINE vd round(vd a) { return {vrndnq_f64(a.v)}; }
NN_INLINE vf floor(vf a) { return {vrndmq_f32(a.v)}; }
NN_INLINE vd floor(vd a) { return {vrndmq_f64(a.v)}; }
NN_INLINE vf ceil(vf a) { return {vrndpq_f32(a.v)}; }
NN_INLINE vd ceil(vd a) { return {vrndpq_f64(a.v)}; }
NN_INLINE vf trunc(vf a) { return {vrndq_f32(a.v)}; }
NN_INLINE vd trunc(vd a) { return {vrndq_f64(a.v)}; }
NN_INLINE vf copysign(vf a, vf s) { return {vbslq_f32(vdupq_n_u32(0x80000000u), s.v, a.v)}; }
NN_INLINE vd copysign(vd a, vd s) { return {vbslq_f64(vdupq_n_u64(0x8000000000000000ull), s.v, a.v)}; }

// 2^n for integral n within the normal exponents.
NN_INLINE vf pow2(vf n) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), 23))};
}
NN_INLINE vd pow2(vd n) {
  return {vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(vcvtq_s64_f64(n.v), vdupq_n_s64(1023)), 52))};
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
  int32x4_t e = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(abs(a).v), 23));
  return {vcvtq_f32_s32(vsubq_s32(e, vdupq_n_s32(127)))};
}
NN_INLINE vd exponent(vd a) {
  int64x2_t e = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(abs(a).v), 52));
  return {vcvtq_f64_s64(vsubq_s64(e, vdupq_n_s64(1023)))};
}
NN_INLINE vf mantissa(vf a) {
  uint32x4_t bits = vandq_u32(vreinterpretq_u32_f32(a.v), vdupq_n_u32(0x807fffffu));
  return {vreinterpretq_f32_u32(vorrq_u32(bits, vdupq_n_u32(0x3f800000u)))};
}
NN_INLINE vd mantissa(vd a) {
  uint64x2_t bits = vandq_u64(vreinterpretq_u64_f64(a.v), vdupq_n_u64(0x800fffffffffffffull));
  return {vreinterpretq_f64_u64(vorrq_u64(bits, vdupq_n_u64(0x3ff0000000000000ull)))};
}

template <int low = 18> NN_INLINE vf leading_entry(const float* table, vf a) {
  const uint32x4_t i = vandq_u32(vshrq_n_u32(vreinterpretq_u32_f32(a.v), low), vdupq_n_u32(31));
  const float t[4] = {table[vgetq_lane_u32(i, 0)], table[vgetq_lane_u32(i, 1)], table[vgetq_lane_u32(i, 2)],
                      table[vgetq_lane_u32(i, 3)]};
  return {vld1q_f32(t)};
}

NN_INLINE float sum(vf a) { return vaddvq_f32(a.v); }
NN_INLINE double sum(vd a) { return vaddvq_f64(a.v); }
NN_INLINE float reduce_min(vf a) { return vminvq_f32(a.v); }
NN_INLINE double reduce_min(vd a) { return vminvq_f64(a.v); }
NN_INLINE float reduce_max(vf a) { return vmaxvq_f32(a.v); }
NN_INLINE double reduce_max(vd a) { return vmaxvq_f64(a.v); }

NN_INLINE void transpose(vf* r) {
  float32x4x2_t a = vtrnq_f32(r[0].v, r[1].v), b = vtrnq_f32(r[2].v, r[3].v);
  r[0].v = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  r[1].v = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  r[2].v = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  r[3].v = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
NN_INLINE void transpose(vd* r) {
  float64x2_t a = vtrn1q_f64(r[0].v, r[1].v), b = vtrn2q_f64(r[0].v, r[1].v);
  r[0].v = a;
  r[1].v = b;
}

}  // namespace
}  // namespace nn
