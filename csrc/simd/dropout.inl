// Dropout with its own random numbers: Philox 4x32-10 (Salmon et al. 2011), a counter hashed under a key.
namespace nn {
namespace {

// 64 random words: word w of counter l stands at out[16 * w + l], l < 16. The loops over l run in vector
// registers.
NN_INLINE void philox(uint64_t key, uint64_t first_counter, uint32_t* out) {
  for (int l = 0; l < 16; ++l) {
    const uint64_t c = first_counter + uint64_t(l);
    uint32_t c0 = uint32_t(c), c1 = uint32_t(c >> 32), c2 = 0, c3 = 0, k0 = uint32_t(key),
             k1 = uint32_t(key >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p = uint64_t(c0) * 0xD2511F53u, q = uint64_t(c2) * 0xCD9E8D57u;
      c0 = uint32_t(q >> 32) ^ c1 ^ k0, c2 = uint32_t(p >> 32) ^ c3 ^ k1;
      c1 = uint32_t(q), c3 = uint32_t(p);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[l] = c0, out[16 + l] = c1, out[32 + l] = c2, out[48 + l] = c3;
  }
}

// y[i] = random word i >= threshold ? x[i] * scale + shift : fill for i < n; `group` counts the groups of 64
// before x.
template <class T> void dropout(const T* x, T* y, int64_t n, uint64_t key, int64_t group, uint32_t threshold,
                                T scale, T shift, T fill) {
  uint32_t word[64];
  for (int64_t i = 0; i < n; i += 64, ++group) {
    philox(key, uint64_t(group) * 16, word);
    const int count = n - i < 64 ? int(n - i) : 64;
    for (int j = 0; j < count; ++j) y[i + j] = word[j] >= threshold ? x[i + j] * scale + shift : fill;
  }
}

}  // namespace
}  // namespace nn
