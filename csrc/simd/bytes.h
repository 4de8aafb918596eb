// Registers of bytes for uint8 images: what turning and weighing their rows is made of.
//
//   load_bytes(p)  store_bytes(p, a)  store_bytes(p, a, n)   bytes::width of them; only the first n
//   load_blocks(p, at)           16 bytes each at p[0] + at, p[16] + at, ... side by side
//   zip(a, b, low, high)         in each 16 bytes: a's and b's in turn, of the first and of the last eight
//   set_sums(s, x)               x for each byte, of 32 bits
//   add_weighed(s, a, b, w)      s += a * (the low 16 bits of w) + b * (the high 16 bits), both signed
//   narrow(s, shift)             s >> shift, clamped to 0..255
#pragma once
#include <stdint.h>

namespace nn {
namespace {

#if defined(__AVX512BW__)

struct bytes {
  __m512i v;
  static constexpr int width = 64;
};
struct sums {
  __m512i v[4];
};

NN_INLINE bytes load_bytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
NN_INLINE void store_bytes(uint8_t* p, bytes a) { _mm512_storeu_si512(p, a.v); }
NN_INLINE void store_bytes(uint8_t* p, bytes a, int n) {
  _mm512_mask_storeu_epi8(p, _bzhi_u64(~uint64_t(0), uint32_t(n)), a.v);
}
NN_INLINE bytes load_blocks(const uint8_t* const* p, int64_t at) {
  const auto block = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[i] + at)); };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(block(0)), block(16), 1),
                high = _mm256_inserti128_si256(_mm256_castsi128_si256(block(32)), block(48), 1);
  return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}
NN_INLINE void zip(bytes a, bytes b, bytes& low, bytes& high) {
  low = {_mm512_unpacklo_epi8(a.v, b.v)}, high = {_mm512_unpackhi_epi8(a.v, b.v)};
}
NN_INLINE void set_sums(sums& s, int32_t x) {
  for (int i = 0; i < 4; ++i) s.v[i] = _mm512_set1_epi32(x);
}
NN_INLINE void add_weighed(sums& s, bytes a, bytes b, int32_t w) {
  const bytes zero = {_mm512_setzero_si512()};
  bytes low, high, pair[4];
  zip(a, b, low, high), zip(low, zero, pair[0], pair[1]), zip(high, zero, pair[2], pair[3]);
  for (int i = 0; i < 4; ++i)
    s.v[i] = _mm512_add_epi32(s.v[i], _mm512_madd_epi16(pair[i].v, _mm512_set1_epi32(w)));
}
NN_INLINE bytes narrow(sums s, int shift) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  for (int i = 0; i < 4; ++i) s.v[i] = _mm512_sra_epi32(s.v[i], by);
  return {_mm512_packus_epi16(_mm512_packs_epi32(s.v[0], s.v[1]), _mm512_packs_epi32(s.v[2], s.v[3]))};
}

#else

#if defined(__AVX2__)

struct bytes {
  __m256i v;
  static constexpr int width = 32;
};
struct sums {
  __m256i v[4];
};

NN_INLINE bytes load_bytes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
NN_INLINE void store_bytes(uint8_t* p, bytes a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
NN_INLINE bytes load_blocks(const uint8_t* const* p, int64_t at) {
  const auto block = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[i] + at)); };
  return {_mm256_inserti128_si256(_mm256_castsi128_si256(block(0)), block(16), 1)};
}
NN_INLINE void zip(bytes a, bytes b, bytes& low, bytes& high) {
  low = {_mm256_unpacklo_epi8(a.v, b.v)}, high = {_mm256_unpackhi_epi8(a.v, b.v)};
}
NN_INLINE void set_sums(sums& s, int32_t x) {
  for (int i = 0; i < 4; ++i) s.v[i] = _mm256_set1_epi32(x);
}
NN_INLINE void add_weighed(sums& s, bytes a, bytes b, int32_t w) {
  const bytes zero = {_mm256_setzero_si256()};
  bytes low, high, pair[4];
  zip(a, b, low, high), zip(low, zero, pair[0], pair[1]), zip(high, zero, pair[2], pair[3]);
  for (int i = 0; i < 4; ++i)
    s.v[i] = _mm256_add_epi32(s.v[i], _mm256_madd_epi16(pair[i].v, _mm256_set1_epi32(w)));
}
NN_INLINE bytes narrow(sums s, int shift) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  for (int i = 0; i < 4; ++i) s.v[i] = _mm256_sra_epi32(s.v[i], by);
  return {_mm256_packus_epi16(_mm256_packs_epi32(s.v[0], s.v[1]), _mm256_packs_epi32(s.v[2], s.v[3]))};
}

#else  // the compiler's own vectors: SSE2, NEON or whatever there is

struct bytes {
  uint8_t v __attribute__((vector_size(16)));
  static constexpr int width = 16;
};
struct sums {
  int32_t v __attribute__((vector_size(64)));
};

NN_INLINE bytes load_bytes(const uint8_t* p) {
  bytes a;
  __builtin_memcpy(&a, p, sizeof a);
  return a;
}
NN_INLINE void store_bytes(uint8_t* p, bytes a) { __builtin_memcpy(p, &a, sizeof a); }
NN_INLINE bytes load_blocks(const uint8_t* const* p, int64_t at) { return load_bytes(p[0] + at); }
NN_INLINE void zip(bytes a, bytes b, bytes& low, bytes& high) {
  low = {__builtin_shufflevector(a.v, b.v, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)};
  high = {__builtin_shufflevector(a.v, b.v, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
}
NN_INLINE void set_sums(sums& s, int32_t x) { s.v = x - decltype(s.v){}; }
NN_INLINE void add_weighed(sums& s, bytes a, bytes b, int32_t w) {
  s.v += __builtin_convertvector(a.v, decltype(s.v)) * int32_t(int16_t(w));
  s.v += __builtin_convertvector(b.v, decltype(s.v)) * (w >> 16);
}
NN_INLINE bytes narrow(const sums& s, int shift) {
  sums t = {s.v >> shift};
  t.v = t.v < 0 ? 0 : t.v > 255 ? 255 : t.v;
  bytes a;
  a.v = __builtin_convertvector(t.v, decltype(a.v));
  return a;
}

#endif

NN_INLINE void store_bytes(uint8_t* p, bytes a, int n) {
  uint8_t all[bytes::width];
  store_bytes(all, a);
  for (int i = 0; i < n; ++i) p[i] = all[i];
}

#endif

}  // namespace
}  // namespace nn
