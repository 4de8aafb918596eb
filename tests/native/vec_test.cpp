// Every function of the vector interface (csrc/simd/vec_scalar.h) against its definition, lane by lane. One
// program per ISA: -DVEC_HEADER='"simd/vec_avx2.h"'. Memory that must not be touched ends at a guard page.
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <initializer_list>

#include VEC_HEADER

using namespace nn;

static int failures = 0;

// The same bits, so that -0 is not 0; any NaN equals any other.
template <class T> static bool same(T a, T b) {
  if (a != a || b != b) return a != a && b != b;
  return memcmp(&a, &b, sizeof a) == 0;
}

static void fail(const char* name, int lane, double got, double want, const char* arguments) {
  if (++failures > 20) return;
  fprintf(stderr, "%s: lane %d is %.17g, not %.17g (%s)\n", name, lane, got, want, arguments);
}

// `count` numbers whose last one ends where readable memory ends, with as much room in front.
template <class T> struct Edge {
  static constexpr size_t kRoom = 65536;
  char* pages;
  T* data;
  explicit Edge(int count) {
    pages = static_cast<char*>(
        mmap(nullptr, 2 * kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (pages == MAP_FAILED || mprotect(pages + kRoom, kRoom, PROT_NONE) != 0) abort();
    data = reinterpret_cast<T*>(pages + kRoom) - count;
  }
  ~Edge() { munmap(pages, 2 * kRoom); }
};

template <class T> struct Test {
  static constexpr int W = vec<T>::width;
  static constexpr T kInf = T(INFINITY), kMin = sizeof(T) == 4 ? T(FLT_MIN) : T(DBL_MIN);
  static constexpr T kMax = sizeof(T) == 4 ? T(FLT_MAX) : T(DBL_MAX);
  static constexpr T kTiny = sizeof(T) == 4 ? T(1e-45) : T(5e-324);
  static constexpr T kWhole = sizeof(T) == 4 ? T(8388608) : T(4503599627370496);  // from here on no fractions
  static constexpr int N = 32;
  const T values[N] = {0,
                       T(-0.0),
                       1,
                       -1,
                       T(0.5),
                       T(-0.5),
                       T(1.5),
                       T(2.5),
                       T(-2.5),
                       T(3.7),
                       T(-3.2),
                       T(0.1),
                       T(1e10),
                       kMax,
                       -kMax,
                       kMin,
                       -kMin,
                       kTiny,
                       -kTiny,
                       kMin / 2,
                       kMin / -3,
                       kInf,
                       -kInf,
                       T(NAN),
                       kWhole,
                       kWhole - T(0.5),
                       kWhole / 2 + T(0.5),
                       -kWhole,
                       T(3.14159265358979),
                       T(7),
                       T(-0.99999),
                       kMax / 2};

  vec<T> lanes(int at) const {
    T t[W];
    for (int i = 0; i < W; ++i) t[i] = value(at + i);
    return load(t);
  }
  T value(int at) const { return values[at % N]; }

  static void expect(const char* name, vec<T> got, const T* want, const char* arguments = "") {
    T t[W];
    store(t, got);
    for (int i = 0; i < W; ++i)
      if (!same(t[i], want[i])) fail(name, i, double(t[i]), double(want[i]), arguments);
  }
  static void expect(const char* name, mask<T> got, const bool* want, const char* arguments = "") {
    T t[W];
    store(t, select(got, set1(T(1)), set1(T(0))));
    bool some = false, every = true;
    for (int i = 0; i < W; ++i) {
      if (t[i] != T(want[i])) fail(name, i, double(t[i]), want[i], arguments);
      some |= want[i], every &= want[i];
    }
    if (any(got) != some) fail("any", 0, !some, some, arguments);
    if (all(got) != every) fail("all", 0, !every, every, arguments);
  }

  template <class F, class G> void unary(const char* name, F f, G g) const {
    for (int a = 0; a < N; ++a) {
      T want[W];
      for (int i = 0; i < W; ++i) want[i] = g(value(a + i));
      char text[64];
      snprintf(text, sizeof text, "from a = %g on", double(value(a)));
      expect(name, f(lanes(a)), want, text);
    }
  }
  template <class R, class F, class G> void binary(const char* name, F f, G g) const {
    for (int a = 0; a < N; ++a)
      for (int b = 0; b < N; ++b) {
        R want[W];
        for (int i = 0; i < W; ++i) want[i] = g(value(a + i), value(b + i));
        char text[64];
        snprintf(text, sizeof text, "from a = %g, b = %g on", double(value(a)), double(value(b)));
        expect(name, f(lanes(a), lanes(b)), want, text);
      }
  }
  template <class F, class G> void ternary(const char* name, F f, G g) const {
    for (int a = 0; a < N; ++a)
      for (int b = 0; b < N; ++b)
        for (int c = 0; c < N; ++c) {
          T want[W];
          for (int i = 0; i < W; ++i) want[i] = g(value(a + i), value(b + i), value(c + i));
          char text[96];
          snprintf(text, sizeof text, "from a = %g, b = %g, c = %g on", double(value(a)), double(value(b)),
                   double(value(c)));
          expect(name, f(lanes(a), lanes(b), lanes(c)), want, text);
        }
  }

  void constants() const {
    for (T x : values) {
      T want[W];
      for (int i = 0; i < W; ++i) want[i] = x;
      expect("set1", set1(x), want);
    }
    T numbers[W];
    for (int i = 0; i < W; ++i) numbers[i] = T(i);
    expect("iota", iota<T>(), numbers);
    for (int n = -3; n <= 2 * W + 1; ++n) {
      bool want[W];
      for (int i = 0; i < W; ++i) want[i] = i < n;
      expect("first", first<T>(n), want);
    }
  }

  void loads_and_stores() const {
    for (int n = -1; n <= W + 2; ++n) {
      const int kept = n < 0 ? 0 : n < W ? n : W;
      Edge<T> edge(kept);
      T want[W];
      for (int i = 0; i < W; ++i) want[i] = i < kept ? value(i + 3) : T(0);
      for (int i = 0; i < kept; ++i) edge.data[i] = want[i];
      expect("load(p, n)", load(edge.data, n), want);
      if (n >= W) expect("load(p)", load(edge.data), want);

      edge.data[-1] = T(42);
      for (int i = 0; i < kept; ++i) edge.data[i] = T(42);
      store(edge.data, lanes(5), n);
      for (int i = -1; i < kept; ++i)
        if (!same(edge.data[i], i < 0 ? T(42) : value(5 + i)))
          fail("store(p, v, n)", i, double(edge.data[i]), double(value(5 + i)), "");
      T whole[W + 1];
      for (T& x : whole) x = T(42);
      store(whole, lanes(5), n);
      for (int i = 0; i <= W; ++i)
        if (!same(whole[i], i < kept ? value(5 + i) : T(42)))
          fail("store(p, v, n)", i, double(whole[i]), 42, "");
    }
    alignas(64) T aligned[W];
    stream(aligned, lanes(2));
    stream_fence();
    for (int i = 0; i < W; ++i)
      if (!same(aligned[i], value(2 + i))) fail("stream", i, double(aligned[i]), double(value(2 + i)), "");
  }

  void lookups() const {
    for (int n = -1; n <= W + 1; ++n) {
      const int kept = n < 0 ? 0 : n < W ? n : W;
      Edge<T> edge(3);
      for (int i = 0; i < 3; ++i) edge.data[i] = value(i);
      int32_t index[W];
      T want[W];
      for (int i = 0; i < W; ++i) {
        index[i] = (i * 5 + 2) % 4 - 1;
        want[i] = i < kept && index[i] >= 0 ? edge.data[index[i]] : T(0);
      }
      expect("lookup", lookup(edge.data, index, n), want);
      expect("lookup_near", lookup_near(edge.data, index, n), want);
    }
    T a[W], b[W], want[W];
    for (int i = 0; i < W; ++i) a[i] = value(i), b[i] = value(W + i);
    for (int turn = 0; turn < 2 * W + 1; ++turn) {
      int32_t index[W];
      for (int i = 0; i < W; ++i) {
        index[i] = (3 * i + turn) % (2 * W + 1) - 1;
        want[i] = index[i] < 0 ? T(0) : index[i] < W ? a[index[i]] : b[index[i] - W];
      }
      expect("permute", permute(load(a), load(b), load_places<T>(index)), want);
    }
  }

  void gathers() const {
    for (int64_t step :
         {int64_t(1), int64_t(2), int64_t(3), int64_t(7), int64_t(0), int64_t(-1), int64_t(-2)}) {
      const int reach = int(step < 0 ? -step : step) * (W - 1) + 1;
      for (int n = -1; n <= W + 1; ++n) {
        const int kept = n < 0 ? 0 : n < W ? n : W;
        // going up, the last number read is the last that may be
        const int count = step < 0 ? reach : kept > 0 ? int(step) * (kept - 1) + 1 : 0;
        Edge<T> edge(count);
        T* p = step < 0 ? edge.data + reach - 1 : edge.data;
        T want[W];
        for (int i = 0; i < count; ++i) edge.data[i] = value(i);
        for (int i = 0; i < W; ++i) want[i] = i < kept ? p[i * step] : T(0);
        expect("gather", gather(p, step, n), want);
      }
      for (int from = -2; from <= W + 1; ++from)
        for (int to = -2; to <= W + 2; ++to) {
          const int last = to < W ? to : W;  // lanes [from, last)
          const int count = step < 0 ? reach : last > 0 && last > from ? int(step) * (last - 1) + 1 : 0;
          Edge<T> edge(count);
          T* p = step < 0 ? edge.data + reach - 1 : edge.data;
          T want[W];
          for (int i = 0; i < count; ++i) edge.data[i] = value(i);
          for (int i = 0; i < W; ++i) want[i] = i >= from && i < to ? p[i * step] : T(0);
          char text[64];
          snprintf(text, sizeof text, "step %d, from %d to %d", int(step), from, to);
          expect("load_range", load_range(p, step, from, to), want, text);
          if (step == 1) expect("load_where", load_where(first<T>(to) & ~first<T>(from), p), want, text);
        }
    }
  }

  void ranges() const {
    for (int from = -2; from <= W + 1; ++from)
      for (int to = -2; to <= W + 2; ++to) {
        T a[W], stored[W + 2], want[W];
        for (int i = 0; i < W; ++i) a[i] = value(i), stored[i + 1] = -1;
        store_range(stored + 1, load(a), from, to);
        for (int i = 0; i < W; ++i) want[i] = i >= from && i < to ? a[i] : T(-1);
        expect("store_range", load(stored + 1), want);

        // what is not written must not be touched: it may not even be there
        const int last = to < 0 ? 0 : to < W ? to : W;
        Edge<T> edge(last);
        for (int i = 0; i < last; ++i) edge.data[i] = -1;
        store_range(edge.data, load(a), from, to);
        for (int i = last; i < W; ++i) want[i] = 0;
        expect("store_range at an edge", load(edge.data, last), want);
      }
  }

  void arithmetic() const {
    typedef vec<T> V;
    binary<T>("+", [](V a, V b) { return a + b; }, [](T a, T b) { return a + b; });
    binary<T>("-", [](V a, V b) { return a - b; }, [](T a, T b) { return a - b; });
    binary<T>("*", [](V a, V b) { return a * b; }, [](T a, T b) { return a * b; });
    binary<T>("/", [](V a, V b) { return a / b; }, [](T a, T b) { return a / b; });
    binary<T>("min", [](V a, V b) { return min(a, b); }, [](T a, T b) { return a < b ? a : b; });
    binary<T>("max", [](V a, V b) { return max(a, b); }, [](T a, T b) { return a > b ? a : b; });
    binary<T>(
        "copysign", [](V a, V b) { return copysign(a, b); },
        [](T a, T b) {
          return sizeof(T) == 4 ? T(copysignf(float(a), float(b))) : T(::copysign(double(a), double(b)));
        });
    unary("negate", [](V a) { return -a; }, [](T a) { return -a; });
    unary("abs", [](V a) { return abs(a); }, [](T a) { return T(fabs(double(a))); });
    unary(
        "sqrt", [](V a) { return sqrt(a); },
        [](T a) { return sizeof(T) == 4 ? T(sqrtf(float(a))) : T(::sqrt(double(a))); });
    unary("round", [](V a) { return round(a); }, [](T a) { return T(rint(double(a))); });
    unary("floor", [](V a) { return floor(a); }, [](T a) { return T(::floor(double(a))); });
    unary("ceil", [](V a) { return ceil(a); }, [](T a) { return T(::ceil(double(a))); });
    unary("trunc", [](V a) { return trunc(a); }, [](T a) { return T(::trunc(double(a))); });
    auto once = [](T a, T b, T c) {
      return sizeof(T) == 4 ? T(fmaf(float(a), float(b), float(c)))
                            : T(::fma(double(a), double(b), double(c)));
    };
    ternary("fma", [](V a, V b, V c) { return fma(a, b, c); }, once);
    ternary(
        "fnma", [](V a, V b, V c) { return fnma(a, b, c); }, [=](T a, T b, T c) { return once(-a, b, c); });
    // A sum's product may be rounded first: one product tells which this header does.
    const T third = T(1) / 3, product = third * third;
    T told[W];
    store(told, mul_add(set1(third), set1(third), set1(-product)));
    const bool is_fused = told[0] != 0;
    auto either = [=](T a, T b, T c) {
      volatile T rounded = a * b;
      return is_fused ? once(a, b, c) : rounded + c;
    };
    ternary("mul_add", [](V a, V b, V c) { return mul_add(a, b, c); }, either);
    ternary(
        "neg_mul_add", [](V a, V b, V c) { return neg_mul_add(a, b, c); },
        [=](T a, T b, T c) { return either(-a, b, c); });
  }

  void compares() const {
    typedef vec<T> V;
    binary<bool>("lt", [](V a, V b) { return lt(a, b); }, [](T a, T b) { return a < b; });
    binary<bool>("le", [](V a, V b) { return le(a, b); }, [](T a, T b) { return a <= b; });
    binary<bool>("gt", [](V a, V b) { return gt(a, b); }, [](T a, T b) { return a > b; });
    binary<bool>("ge", [](V a, V b) { return ge(a, b); }, [](T a, T b) { return a >= b; });
    binary<bool>("eq", [](V a, V b) { return eq(a, b); }, [](T a, T b) { return a == b; });
    binary<bool>("ne", [](V a, V b) { return ne(a, b); }, [](T a, T b) { return a != b; });
    binary<bool>("is_nan", [](V a, V) { return is_nan(a); }, [](T a, T) { return a != a; });
    binary<bool>(
        "unordered", [](V a, V b) { return unordered(a, b); }, [](T a, T b) { return a != a || b != b; });
    binary<bool>(
        "&", [](V a, V b) { return lt(a, b) & ge(b, set1(T(0))); }, [](T a, T b) { return a < b && b >= 0; });
    binary<bool>(
        "|", [](V a, V b) { return lt(a, b) | is_nan(b); }, [](T a, T b) { return a < b || b != b; });
    binary<bool>("~", [](V a, V b) { return ~lt(a, b); }, [](T a, T b) { return !(a < b); });
    binary<T>(
        "select", [](V a, V b) { return select(lt(a, b), b, a); }, [](T a, T b) { return a < b ? b : a; });
  }

  // Every pattern of truth values there and back through bytes.
  void bools() const {
    for (unsigned pattern = 0; pattern < (1u << W); ++pattern) {
      const int n = int(pattern * 2654435761u >> 8) % (W + 3);
      const int kept = n < W ? n : W;
      uint8_t bytes[W + 1], back[W + 1];
      bool want[W];
      for (int i = 0; i <= W; ++i)
        bytes[i] = pattern >> i & 1 ? uint8_t(1 + i * 37 % 255) : uint8_t(0), back[i] = 42;
      for (int i = 0; i < W; ++i) want[i] = i < kept && (pattern >> i & 1);
      const mask<T> m = load_bool<T>(bytes, n);
      expect("load_bool", m, want);
      store_bool(back, load_bool<T>(bytes, W), n);
      for (int i = 0; i <= W; ++i)
        if (back[i] != (i < kept ? pattern >> i & 1 : 42u))
          fail("store_bool", i, back[i], pattern >> i & 1, "");
    }
    for (int n = -1; n <= W; ++n) {
      const int kept = n < 0 ? 0 : n;
      Edge<uint8_t> edge(kept);
      bool want[W];
      for (int i = 0; i < W; ++i) want[i] = i < kept;
      for (int i = 0; i < kept; ++i) edge.data[i] = 255;
      expect("load_bool", load_bool<T>(edge.data, n), want);
      store_bool(edge.data, first<T>(W), n);
      for (int i = 0; i < kept; ++i)
        if (edge.data[i] != 1) fail("store_bool", i, edge.data[i], 1, "at the edge");
    }
  }

  void reciprocals() const {
    for (int e = -60; e <= 60; ++e)
      for (double m : {1.0, 1.2345678, 1.5, 1.9999}) {
        T got[W];
        const T x = T(ldexp(e % 2 ? m : -m, e));
        store(got, reciprocal(set1(x)));
        for (int i = 0; i < W; ++i)
          if (!(fabs(double(got[i]) * double(x) - 1) <= (sizeof(T) == 4 ? 2.4e-7 : 4.5e-16)))
            fail("reciprocal", i, double(got[i]), 1 / double(x), "2 ulp");
      }
  }

  void entries() const {
    if constexpr (sizeof(T) == 4) {
      alignas(64) float table[32];
      for (int i = 0; i < 32; ++i) table[i] = float(100 + i * i);
      for (int i = 0; i < 64; ++i) {
        float x[W], want[W], coarse[W];
        for (int k = 0; k < W; ++k) {
          const int entry = (i + k) % 64 / 2;  // the start and the middle of each piece of [1, 2)
          x[k] = ldexpf((k % 3 ? 1.0f : -1.0f) * (1 + float((i + k) % 64) / 64), i - 30);
          want[k] = table[entry];
          coarse[k] =
              table[(((i - 30 + 127) & 3) << 3) + entry / 4];  // two bits of the exponent, three below
        }
        expect("leading_entry", leading_entry(table, load(x)), want);
        expect("leading_entry<20>", leading_entry<20>(table, load(x)), coarse);
      }
    }
  }

  void powers_of_two() const {
    for (int n : {0,    1,    -1,    3,    -7,   24,    -52,  100,   -100, 126,   -126,   127,
                  -127, 149,  -149,  150,  254,  -280,  300,  -300,  700,  -700,  1022,   -1022,
                  1023, 1074, -1074, 1100, 2046, -2100, 2200, -2200, 5000, -5000, 100000, -100000})
      for (int a = 0; a < N; ++a) {
        T got[W], exponents[W];
        for (int i = 0; i < W; ++i) exponents[i] = T(n + i % 3);
        store(got, scale2(lanes(a), load(exponents)));
        for (int i = 0; i < W; ++i) {
          const T x = value(a + i), want = T(ldexp(double(x), n + i % 3));
          const T direct = sizeof(T) == 4 ? T(ldexpf(float(x), n + i % 3)) : want;
          // below the normal numbers several roundings, or 0, are allowed
          const bool small = fabs(double(direct)) < double(kMin);
          const bool good =
              small ? fabs(double(got[i]) - double(direct)) <= double(kTiny) : same(got[i], direct);
          char text[64];
          snprintf(text, sizeof text, "a = %g, n = %d", double(x), n + i % 3);
          if (!good) fail("scale2", i, double(got[i]), double(direct), text);
        }
      }
    const T normals[] = {1,        2,    T(0.5), T(3.7),  T(1.9999999), kMin,
                         kMin * 3, kMax, T(0.1), T(1e10), kWhole,       T(1e-30)};
    const int count = int(sizeof normals / sizeof *normals);
    for (int a = 0; a < count; ++a) {
      T x[W], e[W], m[W];
      for (int i = 0; i < W; ++i) {
        x[i] = normals[(a + i) % count];
        e[i] = T(ilogb(double(x[i])));
        m[i] = T(ldexp(double(x[i]), -ilogb(double(x[i]))));
      }
      expect("exponent", exponent(load(x)), e);
      expect("mantissa", mantissa(load(x)), m);
    }
  }

  void reductions() const {
    unsigned seed = 1;
    for (int round = 0; round < 200; ++round) {
      T x[W], total = 0, least = kInf, most = -kInf;
      for (int i = 0; i < W; ++i) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = T(int(seed >> 16) - 32768);  // whole numbers: exact in any order
        if (round < W && i == round) x[i] = T(100000);
        if (round >= W && round < 2 * W && i == round - W) x[i] = T(-100000);
        total += x[i];
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
      }
      if (sum(load(x)) != total) fail("sum", 0, double(sum(load(x))), double(total), "");
      if (reduce_min(load(x)) != least) fail("reduce_min", 0, double(reduce_min(load(x))), double(least), "");
      if (reduce_max(load(x)) != most) fail("reduce_max", 0, double(reduce_max(load(x))), double(most), "");
    }
    for (int i = 0; i < W; ++i) {
      T x[W] = {};
      x[i] = T(NAN);
      if (sum(load(x)) == sum(load(x))) fail("sum", i, 0, NAN, "a NaN in this lane");
      x[i] = kInf;
      if (sum(load(x)) != kInf || reduce_max(load(x)) != kInf) fail("sum, reduce_max", i, 0, INFINITY, "");
      x[i] = -kInf;
      if (sum(load(x)) != -kInf || reduce_min(load(x)) != -kInf) fail("sum, reduce_min", i, 0, -INFINITY, "");
    }
  }

  void transposes() const {
    vec<T> rows[W];
    for (int i = 0; i < W; ++i) rows[i] = iota<T>() + set1(T(i * W));
    transpose(rows);
    for (int i = 0; i < W; ++i) {
      T want[W];
      for (int j = 0; j < W; ++j) want[j] = T(j * W + i);
      expect("transpose", rows[i], want);
    }
  }

  void pairs() const {
    const vec<T> a = lanes(1), b = lanes(1 + W);
    vec<T> low, high;
    interleave(even(a, b), odd(a, b), low, high);
    T evens[W], odds[W], first_half[W], second_half[W];
    for (int i = 0; i < W; ++i) {
      evens[i] = value(1 + 2 * i), odds[i] = value(2 + 2 * i);
      first_half[i] = value(1 + i), second_half[i] = value(1 + W + i);
    }
    expect("even", even(a, b), evens);
    expect("odd", odd(a, b), odds);
    expect("interleave, low", low, first_half);
    expect("interleave, high", high, second_half);
  }

  void bytes() const {
    for (int from = -2; from <= W + 1; ++from)
      for (int to = -2; to <= W + 2; ++to) {
        uint8_t p[W];
        T want[W];
        for (int i = 0; i < W; ++i) p[i] = uint8_t(251 - 7 * i);
        for (int i = 0; i < W; ++i) want[i] = i >= from && i < to ? T(p[i]) : T(0);
        expect("load_u8", load_u8<T>(p, from, to), want);
      }
    for (int n = -1; n <= W + 2; ++n) {
      uint8_t p[W];
      T want[W];
      for (int i = 0; i < W; ++i) p[i] = uint8_t(i % 2 ? 200 : 7);
      for (int i = 0; i < W; ++i) want[i] = T(i < n && i % 2);
      expect("eq_u8", select(eq_u8<T>(p, 200, n), set1(T(1)), set1(T(0))), want);
    }
    for (int n = -1; n <= W + 2; ++n) {
      uint8_t p[W + 1];
      for (uint8_t& x : p) x = 77;
      store_u8(p, set1(T(255)) - iota<T>(), n);
      for (int i = 0; i <= W; ++i) {
        const int want = i < W && i < n ? 255 - i : 77;
        if (p[i] != want) fail("store_u8", i, p[i], want, "");
      }
    }
  }

  void all_of_them() const {
    pairs();
    bytes();
    constants();
    loads_and_stores();
    gathers();
    ranges();
    lookups();
    arithmetic();
    reciprocals();
    entries();
    compares();
    bools();
    powers_of_two();
    reductions();
    transposes();
  }
};

int main() {
  Test<float>().all_of_them();
  Test<double>().all_of_them();
  printf("%s: %d and %d lanes: %s\n", VEC_HEADER, vec<float>::width, vec<double>::width,
         failures ? "FAILED" : "ok");
  return failures != 0;
}
