// Dropout with its own random numbers: Philox 4x32-10 (Salmon et al. 2011), a counter hashed under a key.
namespace nn {
namespace {

// 64 random words: word w of counter l stands at out[16 * w + l], l < 16. The loops over l run in vector
// registers.
NN_INLINE void philox(uint64_t key, uint64_t first_counter, uint32_t* out) {
  constexpr int lanes = 16;
  uint32_t c0[lanes], c1[lanes], c2[lanes], c3[lanes];
  for (int l = 0; l < lanes; ++l) {
    const uint64_t c = first_counter + uint64_t(l);
    c0[l] = uint32_t(c), c1[l] = uint32_t(c >> 32), c2[l] = 0, c3[l] = 0;
  }
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (int l = 0; l < lanes; ++l) {
      const uint64_t p = uint64_t(c0[l]) * 0xD2511F53u, q = uint64_t(c2[l]) * 0xCD9E8D57u;
      const uint32_t n0 = uint32_t(q >> 32) ^ c1[l] ^ k0, n2 = uint32_t(p >> 32) ^ c3[l] ^ k1;
      c1[l] = uint32_t(q), c3[l] = uint32_t(p), c0[l] = n0, c2[l] = n2;
    }
  for (int l = 0; l < lanes; ++l)
    out[l] = c0[l], out[16 + l] = c1[l], out[32 + l] = c2[l], out[48 + l] = c3[l];
}

// y[i] = random word i >= threshold ? x[i] * scale : 0 for i < n; `group` counts the groups of 64 before x.
template <class T>
void dropout(const T* x, T* y, int64_t n, uint64_t key, int64_t group, uint32_t threshold, T scale) {
  uint32_t word[64];
  for (int64_t i = 0; i < n; i += 64, ++group) {
    philox(key, uint64_t(group) * 16, word);
    const int count = n - i < 64 ? int(n - i) : 64;
    for (int j = 0; j < count; ++j) y[i + j] = word[j] >= threshold ? x[i + j] * scale : T(0);
  }
}

}  // namespace
}  // namespace nn
