// The transforms of Winograd convolution with R x R filters: F(M, R) makes M x M results of a tile from
// e = (M + R - 1)^2 products per channel instead of M^2 R^2. Vectors run along channels.
//
//   y = A^T [ (G w G^T) . (B^T d B) ] A      and for the filter's gradient, the adjoint:
//   gw = G^T [ sum over tiles (A gy A^T) . (B^T d B) ] G
//
// F(4, 3), F(3, 4) and F(2, 5) share the points 0, +-1/sqrt 2, +-sqrt 2 and infinity, hence B: half the error
// of 0, +-1, +-2. F(4, 2) and F(3, 3) have 0, +-1/sqrt 2, 2 and infinity; F(2, 3) and F(3, 2) 0, +-1 and
// infinity. Sources: Lavin & Gray 2015 (1509.09308); Barabasz et al. 2018 (1803.10986: the choice of points).
namespace nn {
namespace {

template <class T> constexpr T kRoot = T(1.41421356237309504880);

// Each functor maps one row of its input to one row of its result: in() numbers to out().
template <class T, int Reach> struct InputMap;  // B^T
template <class T> struct InputMap<T, 6> {
  static constexpr int in = 6, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> r = set1(kRoot<T>), h = set1(kRoot<T> / 2);
    const vec<T> e1 = fnma(set1(T(2)), x[2], x[4]), o1 = fnma(h, x[3], r * x[1]);
    const vec<T> e2 = fnma(set1(T(0.5)), x[2], x[4]), o2 = fnma(h, x[1], r * x[3]);
    t[0] = fnma(set1(T(2.5)), x[2], x[0] + x[4]);
    t[1] = e1 - o1, t[2] = e1 + o1, t[3] = e2 + o2, t[4] = e2 - o2;
    t[5] = fnma(set1(T(2.5)), x[3], x[1] + x[5]);
  }
};
template <class T> struct InputMap<T, 4> {
  static constexpr int in = 4, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    t[0] = x[0] - x[2], t[1] = x[1] + x[2], t[2] = x[2] - x[1], t[3] = x[1] - x[3];
  }
};
template <class T> struct InputMap<T, 5> {
  static constexpr int in = 5, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> two = set1(T(2)), half = set1(T(0.5)), h = set1(kRoot<T> / 2);
    const vec<T> e = fnma(two, x[2], x[3]), o = h * fnma(two, x[1], x[2]);
    t[3] = fnma(half, x[1], x[3]);
    t[0] = t[3] + fnma(two, x[2], x[0]);
    t[1] = e + o, t[2] = e - o;
    t[4] = fnma(two, t[3], fnma(half, x[2], x[4]));
  }
};

template <class T, int M, int R> struct OutputMap;  // A^T
template <class T> struct OutputMap<T, 4, 3> {
  static constexpr int in = 6, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s1 = x[1] + x[2], d1 = x[1] - x[2], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = (x[0] + s1) + s2;
    t[1] = fma(set1(kRoot<T>), d2, set1(kRoot<T> / 2) * d1);
    t[2] = fma(set1(T(2)), s2, set1(T(0.5)) * s1);
    t[3] = fma(set1(2 * kRoot<T>), d2, fma(set1(kRoot<T> / 4), d1, x[5]));
  }
};
template <class T> struct OutputMap<T, 2, 3> {
  static constexpr int in = 4, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    t[0] = (x[0] + x[1]) + x[2], t[1] = (x[1] - x[2]) - x[3];
  }
};
template <class T> struct OutputMap<T, 3, 2> {
  static constexpr int in = 4, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[1] + x[2];
    t[0] = x[0] + s, t[1] = x[1] - x[2], t[2] = s - x[3];
  }
};
template <class T> struct OutputMap<T, 2, 5> {
  static constexpr int in = 6, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> d1 = x[1] - x[2], d2 = x[3] - x[4];
    t[0] = (x[0] + (x[1] + x[2])) + (x[3] + x[4]);
    t[1] = fma(set1(kRoot<T>), d2, fma(set1(kRoot<T> / 2), d1, x[5]));
  }
};
template <class T> struct OutputMap<T, 4, 2> {
  static constexpr int in = 5, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[1] + x[2], d = x[1] - x[2];
    t[0] = (x[0] + s) + x[3];
    t[1] = fma(set1(kRoot<T> / 2), d, set1(T(2)) * x[3]);
    t[2] = fma(set1(T(0.5)), s, set1(T(4)) * x[3]);
    t[3] = fma(set1(kRoot<T> / 4), d, fma(set1(T(8)), x[3], x[4]));
  }
};

template <class T> struct OutputMap<T, 3, 4> {
  static constexpr int in = 6, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s1 = x[1] + x[2], d1 = x[1] - x[2], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = (x[0] + s1) + s2;
    t[1] = fma(set1(kRoot<T>), d2, set1(kRoot<T> / 2) * d1);
    t[2] = fma(set1(T(2)), s2, fma(set1(T(0.5)), s1, x[5]));
  }
};

template <class T> struct OutputMap<T, 3, 3> {
  static constexpr int in = 5, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[1] + x[2], d = x[1] - x[2];
    t[0] = (x[0] + s) + x[3];
    t[1] = fma(set1(kRoot<T> / 2), d, set1(T(2)) * x[3]);
    t[2] = fma(set1(T(0.5)), s, fma(set1(T(4)), x[3], x[4]));
  }
};

template <class T, int M, int R> struct FilterMap;  // G
template <class T> struct FilterMap<T, 4, 3> {
  static constexpr int in = 3, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6);
    const vec<T> a = fma(set1(T(2) / 3), x[0], third * x[2]), b = set1(kRoot<T> / 3) * x[1];
    const vec<T> c = fma(sixth, x[0], third * x[2]), d = set1(kRoot<T> / 6) * x[1];
    t[0] = x[0], t[1] = -(a + b), t[2] = b - a, t[3] = c + d, t[4] = c - d, t[5] = x[2];
  }
};
template <class T> struct FilterMap<T, 2, 3> {
  static constexpr int in = 3, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[0] + x[2], half = set1(T(0.5));
    t[0] = x[0], t[1] = half * (s + x[1]), t[2] = half * (s - x[1]), t[3] = x[2];
  }
};
template <class T> struct FilterMap<T, 3, 2> {
  static constexpr int in = 2, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> half = set1(T(0.5));
    t[0] = x[0], t[1] = half * (x[0] + x[1]), t[2] = half * (x[0] - x[1]), t[3] = x[1];
  }
};
template <class T> struct FilterMap<T, 2, 5> {
  static constexpr int in = 5, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6), two = set1(T(2) / 3);
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6), mid = third * x[2];
    const vec<T> a = fma(two, x[0], fma(sixth, x[4], mid)), b = fma(r3, x[1], r6 * x[3]);
    const vec<T> c = fma(two, x[4], fma(sixth, x[0], mid)), d = fma(r3, x[3], r6 * x[1]);
    t[0] = x[0], t[1] = -(a + b), t[2] = b - a, t[3] = c + d, t[4] = c - d, t[5] = x[4];
  }
};
template <class T> struct FilterMap<T, 4, 2> {
  static constexpr int in = 2, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> o = set1(h) * x[1];
    t[0] = x[0];
    t[1] = set1(1 / (h - 2)) * (x[0] + o), t[2] = set1(1 / (-h - 2)) * (x[0] - o);
    t[3] = fma(set1(T(2) / 7), x[1], set1(T(1) / 7) * x[0]);
    t[4] = x[1];
  }
};

template <class T> struct FilterMap<T, 3, 4> {
  static constexpr int in = 4, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> a = fma(set1(T(2) / 3), x[0], third * x[2]), b = fma(r3, x[1], r6 * x[3]);
    const vec<T> c = fma(set1(T(1) / 6), x[0], third * x[2]), d = fma(r3, x[3], r6 * x[1]);
    t[0] = x[0], t[1] = -(a + b), t[2] = b - a, t[3] = c + d, t[4] = c - d, t[5] = x[3];
  }
};

template <class T> struct FilterMap<T, 3, 3> {
  static constexpr int in = 3, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> e = fma(set1(T(0.5)), x[2], x[0]), o = set1(h) * x[1];
    t[0] = x[0];
    t[1] = set1(1 / (h - 2)) * (e + o), t[2] = set1(1 / (-h - 2)) * (e - o);
    t[3] = fma(set1(T(4) / 7), x[2], fma(set1(T(2) / 7), x[1], set1(T(1) / 7) * x[0]));
    t[4] = x[2];
  }
};

template <class T, int M, int R> struct OutputGradMap;  // A
template <class T> struct OutputGradMap<T, 4, 3> {
  static constexpr int in = 4, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e1 = fma(set1(T(0.5)), x[2], x[0]),
                 o1 = fma(set1(kRoot<T> / 4), x[3], set1(kRoot<T> / 2) * x[1]);
    const vec<T> e2 = fma(set1(T(2)), x[2], x[0]), o2 = fma(set1(2 * kRoot<T>), x[3], set1(kRoot<T>) * x[1]);
    t[0] = x[0], t[1] = e1 + o1, t[2] = e1 - o1, t[3] = e2 + o2, t[4] = e2 - o2, t[5] = x[3];
  }
};
template <class T> struct OutputGradMap<T, 2, 3> {
  static constexpr int in = 2, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    t[0] = x[0], t[1] = x[0] + x[1], t[2] = x[0] - x[1], t[3] = -x[1];
  }
};
template <class T> struct OutputGradMap<T, 3, 2> {
  static constexpr int in = 3, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[0] + x[2];
    t[0] = x[0], t[1] = s + x[1], t[2] = s - x[1], t[3] = -x[2];
  }
};
template <class T> struct OutputGradMap<T, 2, 5> {
  static constexpr int in = 2, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> h = set1(kRoot<T> / 2), r = set1(kRoot<T>);
    t[0] = x[0], t[1] = fma(h, x[1], x[0]), t[2] = fnma(h, x[1], x[0]);
    t[3] = fma(r, x[1], x[0]), t[4] = fnma(r, x[1], x[0]), t[5] = x[1];
  }
};

template <class T> struct OutputGradMap<T, 4, 2> {
  static constexpr int in = 4, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e = fma(set1(T(0.5)), x[2], x[0]),
                 o = fma(set1(kRoot<T> / 4), x[3], set1(kRoot<T> / 2) * x[1]);
    t[0] = x[0], t[1] = e + o, t[2] = e - o;
    t[3] = fma(set1(T(8)), x[3], fma(set1(T(4)), x[2], fma(set1(T(2)), x[1], x[0])));
    t[4] = x[3];
  }
};
template <class T> struct OutputGradMap<T, 3, 4> {
  static constexpr int in = 3, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e1 = fma(set1(T(0.5)), x[2], x[0]), o1 = set1(kRoot<T> / 2) * x[1];
    const vec<T> e2 = fma(set1(T(2)), x[2], x[0]), o2 = set1(kRoot<T>) * x[1];
    t[0] = x[0], t[1] = e1 + o1, t[2] = e1 - o1, t[3] = e2 + o2, t[4] = e2 - o2, t[5] = x[2];
  }
};

template <class T> struct OutputGradMap<T, 3, 3> {
  static constexpr int in = 3, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e = fma(set1(T(0.5)), x[2], x[0]), o = set1(kRoot<T> / 2) * x[1];
    t[0] = x[0], t[1] = e + o, t[2] = e - o;
    t[3] = fma(set1(T(4)), x[2], fma(set1(T(2)), x[1], x[0])), t[4] = x[2];
  }
};

template <class T, int M, int R> struct FilterGradMap;  // G^T
template <class T> struct FilterGradMap<T, 4, 3> {
  static constexpr int in = 6, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = fma(sixth, s2, fnma(set1(T(2) / 3), s1, x[0]));
    t[1] = fma(set1(kRoot<T> / 3), d1, set1(kRoot<T> / 6) * d2);
    t[2] = fma(third, s2 - s1, x[5]);
  }
};
template <class T> struct FilterGradMap<T, 2, 3> {
  static constexpr int in = 4, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> half = set1(T(0.5));
    t[0] = fma(half, x[1] + x[2], x[0]), t[1] = half * (x[1] - x[2]), t[2] = fma(half, x[1] + x[2], x[3]);
  }
};
template <class T> struct FilterGradMap<T, 3, 2> {
  static constexpr int in = 4, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> half = set1(T(0.5));
    t[0] = fma(half, x[1] + x[2], x[0]), t[1] = fma(half, x[1] - x[2], x[3]);
  }
};
template <class T> struct FilterGradMap<T, 2, 5> {
  static constexpr int in = 6, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6), two = set1(T(2) / 3);
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = fma(sixth, s2, fnma(two, s1, x[0]));
    t[1] = fma(r3, d1, r6 * d2);
    t[2] = third * (s2 - s1);
    t[3] = fma(r6, d1, r3 * d2);
    t[4] = fma(two, s2, fnma(sixth, s1, x[5]));
  }
};

template <class T> struct FilterGradMap<T, 4, 2> {
  static constexpr int in = 5, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> a = set1(1 / (h - 2)) * x[1], b = set1(1 / (-h - 2)) * x[2];
    t[0] = fma(set1(T(1) / 7), x[3], x[0] + (a + b));
    t[1] = fma(set1(h), a - b, fma(set1(T(2) / 7), x[3], x[4]));
  }
};
template <class T> struct FilterGradMap<T, 3, 4> {
  static constexpr int in = 6, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = fma(set1(T(1) / 6), s2, fnma(set1(T(2) / 3), s1, x[0]));
    t[1] = fma(r3, d1, r6 * d2);
    t[2] = set1(T(1) / 3) * (s2 - s1);
    t[3] = fma(r6, d1, fma(r3, d2, x[5]));
  }
};

template <class T> struct FilterGradMap<T, 3, 3> {
  static constexpr int in = 5, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> a = set1(1 / (h - 2)) * x[1], b = set1(1 / (-h - 2)) * x[2], c = set1(T(1) / 7) * x[3];
    t[0] = x[0] + (a + b) + c;
    t[1] = fma(set1(h), a - b, set1(T(2)) * c);
    t[2] = fma(set1(T(0.5)), a + b, fma(set1(T(4)), c, x[4]));
  }
};

// A square of vectors through a map, columns first, then rows; get(i, j) gives, put(i, j, v) takes.
template <class Map, class T, class Get, class Put> NN_INLINE void transform(Get get, Put put) {
  vec<T> half[Map::out][Map::in];
  for (int j = 0; j < Map::in; ++j) {
    vec<T> x[Map::in], t[Map::out];
#pragma GCC unroll 6
    for (int i = 0; i < Map::in; ++i) x[i] = get(i, j);
    Map::apply(x, t);
#pragma GCC unroll 6
    for (int i = 0; i < Map::out; ++i) half[i][j] = t[i];
  }
  for (int i = 0; i < Map::out; ++i) {
    vec<T> t[Map::out];
    Map::apply(half[i], t);
#pragma GCC unroll 6
    for (int j = 0; j < Map::out; ++j) put(i, j, t[j]);
  }
}

template <class T, class Map>
void image_to_tile(const T* x, int64_t row_step, int64_t col_step, int64_t channels, T* v, int64_t v_step) {
  constexpr int W = vec<T>::width;
  for (int64_t c = 0; c < channels; c += W) {
    const int n = int(channels - c < W ? channels - c : W);
    transform<Map, T>([&](int i, int j) { return load(x + i * row_step + j * col_step + c, n); },
                      [&](int i, int j, vec<T> t) { store(v + (i * Map::out + j) * v_step + c, t, n); });
  }
}

// F(M, R); Step: every so many taps of a row of filters, and every such row, are its own.
template <int M, int R, int Step = 1> struct Form {
  static constexpr int m = M, taps = R, step = Step;
};
template <class F> NN_INLINE void with_form(WinogradForm form, F f) {
  switch (form) {
    case WinogradForm::f43:
      return f(Form<4, 3>());
    case WinogradForm::f23:
      return f(Form<2, 3>());
    case WinogradForm::f25:
      return f(Form<2, 5>());
    case WinogradForm::f42:
      return f(Form<4, 2>());
    case WinogradForm::f34:
      return f(Form<3, 4>());
    case WinogradForm::strided:
      return f(Form<3, 2, 2>());
  }
}

// v[e * v_step + c] = (B^T d B)[e] of the patch d at x.
template <class T> void winograd_input(WinogradForm form, const T* x, int64_t row_step, int64_t col_step,
                                       int64_t channels, T* v, int64_t v_step) {
  with_form(form, [&](auto f) {
    image_to_tile<T, InputMap<T, f.m + f.taps - 1>>(x, row_step, col_step, channels, v, v_step);
  });
}

// z[e * z_step + c] = (A gy A^T)[e] of the M x M pixels at gy.
template <class T> void winograd_output_grad(WinogradForm form, const T* gy, int64_t row_step,
                                             int64_t col_step, int64_t channels, T* z, int64_t z_step) {
  with_form(form, [&](auto f) {
    image_to_tile<T, OutputGradMap<T, f.m, f.taps>>(gy, row_step, col_step, channels, z, z_step);
  });
}

template <class T, class Map> void tile_to_image(const T* s, int64_t s_step, int64_t channels, const T* bias,
                                                 T floor, T* y, int64_t row_step, int64_t col_step, int rows,
                                                 int cols) {
  constexpr int W = vec<T>::width;
  for (int64_t c = 0; c < channels; c += W) {
    const int n = int(channels - c < W ? channels - c : W);
    const vec<T> b = bias ? load(bias + c, n) : set1(T(0)), low = set1(floor);
    transform<Map, T>([&](int i, int j) { return load(s + (i * Map::in + j) * s_step + c, n); },
                      [&](int i, int j, vec<T> t) {
                        if (i < rows && j < cols)
                          store(y + i * row_step + j * col_step + c, max(low, t + b), n);
                      });
  }
}

// The first rows x cols results of a tile: max(floor, (A^T s A) + bias).
template <class T> void winograd_output(WinogradForm form, const T* s, int64_t s_step, int64_t channels,
                                        const T* bias, T floor, T* y, int64_t row_step, int64_t col_step,
                                        int rows, int cols) {
  with_form(form, [&](auto f) {
    tile_to_image<T, OutputMap<T, f.m, f.taps>>(s, s_step, channels, bias, floor, y, row_step, col_step, rows,
                                                cols);
  });
}

// Squares of numbers, `lanes` side by side: y[(i, j) * y_step + k] = (Map x Map^T)[i, j] of x[... * x_step +
// k]. From and To: every From-th (To-th) number of a row and every such row is the square's.
template <class T, class Map, int From = 1, int To = 1>
void square_to_square(const T* x, int64_t x_step, int64_t lanes, T* y, int64_t y_step) {
  constexpr int W = vec<T>::width;
  for (int64_t k = 0; k < lanes; k += W) {
    const int n = int(lanes - k < W ? lanes - k : W);
    transform<Map, T>(
        [&](int i, int j) { return load(x + (i * Map::in * From + j) * From * x_step + k, n); },
        [&](int i, int j, vec<T> t) { store(y + (i * Map::out * To + j) * To * y_step + k, t, n); });
  }
}

// u[e * u_step + k] = (G w G^T)[e] of the filters w[tap * w_step + k], for k < lanes.
template <class T>
void winograd_filter(WinogradForm form, const T* w, int64_t w_step, int64_t lanes, T* u, int64_t u_step) {
  with_form(form, [&](auto f) {
    square_to_square<T, FilterMap<T, f.m, f.taps>, f.step>(w, w_step, lanes, u, u_step);
  });
}

// gw[tap * gw_step + k] = (G^T u G)[tap] for k < lanes.
template <class T> void winograd_filter_grad(WinogradForm form, const T* u, int64_t u_step, int64_t lanes,
                                             T* gw, int64_t gw_step) {
  with_form(form, [&](auto f) {
    square_to_square<T, FilterGradMap<T, f.m, f.taps>, 1, f.step>(u, u_step, lanes, gw, gw_step);
  });
}

template <class T, class Map> void line_of_tiles(const WinogradLine<T>& l, bool last) {
  constexpr int W = vec<T>::width;
  for (int64_t k = 0; k < l.lanes; k += W) {
    const int n = int(l.lanes - k < W ? l.lanes - k : W);
    const vec<T> b = l.bias ? load(l.bias + k, n) : set1(T(0)), low = set1(l.floor);
    const T* from = l.x + k;
    T* to = l.y + k;
    for (int64_t i = 0; i < l.tiles; ++i, from += l.x_tile, to += l.y_tile) {
      vec<T> x[Map::in], t[Map::out];
#pragma GCC unroll 5
      for (int j = 0; j < Map::in; ++j) x[j] = load(from + j * l.x_step, n);
      Map::apply(x, t);
#pragma GCC unroll 5
      for (int j = 0; j < Map::out; ++j) store(to + j * l.y_step, last ? max(low, t[j] + b) : t[j], n);
    }
  }
}

template <class T> void winograd_line(LineMap map, const WinogradLine<T>& l) {
  switch (map) {
    case LineMap::input:
      return line_of_tiles<T, InputMap<T, 5>>(l, false);
    case LineMap::output:
      return line_of_tiles<T, OutputMap<T, 3, 3>>(l, true);
    case LineMap::filter:
      return line_of_tiles<T, FilterMap<T, 3, 3>>(l, false);
    case LineMap::output_grad:
      return line_of_tiles<T, OutputGradMap<T, 3, 3>>(l, false);
    default:
      return line_of_tiles<T, FilterGradMap<T, 3, 3>>(l, false);
  }
}

}  // namespace
}  // namespace nn
