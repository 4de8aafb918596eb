// The maps of Winograd convolution along one axis, for each form F(results, taps): how a row of numbers of
// the image (B^T), of the filter (G) or of products (A^T) is transformed, and the adjoints for gradients.
//
// F(4, 3), F(3, 4) and F(2, 5) share the points 0, +-1/sqrt 2, +-sqrt 2 and infinity, hence B: half the error
// of 0, +-1, +-2. F(4, 2) and F(3, 3) have 0, +-1/sqrt 2, 2 and infinity; F(2, 3) 0, +-1 and infinity.
// Sources: Lavin & Gray 2015 (1509.09308); Barabasz et al. 2018 (1803.10986: the choice of points).
namespace nn {
namespace {

template <class T> constexpr T kRoot = T(1.41421356237309504880);

// Each functor maps one row of its input to one row of its result: in() numbers to out().
template <class T, int Reach> struct InputMap;  // B^T
template <class T> struct InputMap<T, 6> {
  static constexpr int in = 6, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> r = set1(kRoot<T>), h = set1(kRoot<T> / 2);
    const vec<T> e1 = neg_mul_add(set1(T(2)), x[2], x[4]), o1 = neg_mul_add(h, x[3], r * x[1]);
    const vec<T> e2 = neg_mul_add(set1(T(0.5)), x[2], x[4]), o2 = neg_mul_add(h, x[1], r * x[3]);
    t[0] = neg_mul_add(set1(T(2.5)), x[2], x[0] + x[4]);
    t[1] = e1 - o1, t[2] = e1 + o1, t[3] = e2 + o2, t[4] = e2 - o2;
    t[5] = neg_mul_add(set1(T(2.5)), x[3], x[1] + x[5]);
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
    const vec<T> e = neg_mul_add(two, x[2], x[3]), o = h * neg_mul_add(two, x[1], x[2]);
    t[3] = neg_mul_add(half, x[1], x[3]);
    t[0] = t[3] + neg_mul_add(two, x[2], x[0]);
    t[1] = e + o, t[2] = e - o;
    t[4] = neg_mul_add(two, t[3], neg_mul_add(half, x[2], x[4]));
  }
};

template <class T, int M, int R> struct OutputMap;  // A^T
template <class T> struct OutputMap<T, 4, 3> {
  static constexpr int in = 6, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s1 = x[1] + x[2], d1 = x[1] - x[2], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = (x[0] + s1) + s2;
    t[1] = mul_add(set1(kRoot<T>), d2, set1(kRoot<T> / 2) * d1);
    t[2] = mul_add(set1(T(2)), s2, set1(T(0.5)) * s1);
    t[3] = mul_add(set1(2 * kRoot<T>), d2, mul_add(set1(kRoot<T> / 4), d1, x[5]));
  }
};
template <class T> struct OutputMap<T, 2, 3> {
  static constexpr int in = 4, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    t[0] = (x[0] + x[1]) + x[2], t[1] = (x[1] - x[2]) - x[3];
  }
};
template <class T> struct OutputMap<T, 2, 5> {
  static constexpr int in = 6, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> d1 = x[1] - x[2], d2 = x[3] - x[4];
    t[0] = (x[0] + (x[1] + x[2])) + (x[3] + x[4]);
    t[1] = mul_add(set1(kRoot<T>), d2, mul_add(set1(kRoot<T> / 2), d1, x[5]));
  }
};
template <class T> struct OutputMap<T, 4, 2> {
  static constexpr int in = 5, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[1] + x[2], d = x[1] - x[2];
    t[0] = (x[0] + s) + x[3];
    t[1] = mul_add(set1(kRoot<T> / 2), d, set1(T(2)) * x[3]);
    t[2] = mul_add(set1(T(0.5)), s, set1(T(4)) * x[3]);
    t[3] = mul_add(set1(kRoot<T> / 4), d, mul_add(set1(T(8)), x[3], x[4]));
  }
};

template <class T> struct OutputMap<T, 3, 4> {
  static constexpr int in = 6, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s1 = x[1] + x[2], d1 = x[1] - x[2], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = (x[0] + s1) + s2;
    t[1] = mul_add(set1(kRoot<T>), d2, set1(kRoot<T> / 2) * d1);
    t[2] = mul_add(set1(T(2)), s2, mul_add(set1(T(0.5)), s1, x[5]));
  }
};

template <class T> struct OutputMap<T, 3, 3> {
  static constexpr int in = 5, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> s = x[1] + x[2], d = x[1] - x[2];
    t[0] = (x[0] + s) + x[3];
    t[1] = mul_add(set1(kRoot<T> / 2), d, set1(T(2)) * x[3]);
    t[2] = mul_add(set1(T(0.5)), s, mul_add(set1(T(4)), x[3], x[4]));
  }
};

template <class T, int M, int R> struct FilterMap;  // G
template <class T> struct FilterMap<T, 4, 3> {
  static constexpr int in = 3, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6);
    const vec<T> a = mul_add(set1(T(2) / 3), x[0], third * x[2]), b = set1(kRoot<T> / 3) * x[1];
    const vec<T> c = mul_add(sixth, x[0], third * x[2]), d = set1(kRoot<T> / 6) * x[1];
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
template <class T> struct FilterMap<T, 2, 5> {
  static constexpr int in = 5, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6), two = set1(T(2) / 3);
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6), mid = third * x[2];
    const vec<T> a = mul_add(two, x[0], mul_add(sixth, x[4], mid)), b = mul_add(r3, x[1], r6 * x[3]);
    const vec<T> c = mul_add(two, x[4], mul_add(sixth, x[0], mid)), d = mul_add(r3, x[3], r6 * x[1]);
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
    t[3] = mul_add(set1(T(2) / 7), x[1], set1(T(1) / 7) * x[0]);
    t[4] = x[1];
  }
};

template <class T> struct FilterMap<T, 3, 4> {
  static constexpr int in = 4, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> a = mul_add(set1(T(2) / 3), x[0], third * x[2]), b = mul_add(r3, x[1], r6 * x[3]);
    const vec<T> c = mul_add(set1(T(1) / 6), x[0], third * x[2]), d = mul_add(r3, x[3], r6 * x[1]);
    t[0] = x[0], t[1] = -(a + b), t[2] = b - a, t[3] = c + d, t[4] = c - d, t[5] = x[3];
  }
};

template <class T> struct FilterMap<T, 3, 3> {
  static constexpr int in = 3, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> e = mul_add(set1(T(0.5)), x[2], x[0]), o = set1(h) * x[1];
    t[0] = x[0];
    t[1] = set1(1 / (h - 2)) * (e + o), t[2] = set1(1 / (-h - 2)) * (e - o);
    t[3] = mul_add(set1(T(4) / 7), x[2], mul_add(set1(T(2) / 7), x[1], set1(T(1) / 7) * x[0]));
    t[4] = x[2];
  }
};

template <class T, int M, int R> struct OutputGradMap;  // A
template <class T> struct OutputGradMap<T, 4, 3> {
  static constexpr int in = 4, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e1 = mul_add(set1(T(0.5)), x[2], x[0]),
                 o1 = mul_add(set1(kRoot<T> / 4), x[3], set1(kRoot<T> / 2) * x[1]);
    const vec<T> e2 = mul_add(set1(T(2)), x[2], x[0]),
                 o2 = mul_add(set1(2 * kRoot<T>), x[3], set1(kRoot<T>) * x[1]);
    t[0] = x[0], t[1] = e1 + o1, t[2] = e1 - o1, t[3] = e2 + o2, t[4] = e2 - o2, t[5] = x[3];
  }
};
template <class T> struct OutputGradMap<T, 2, 3> {
  static constexpr int in = 2, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    t[0] = x[0], t[1] = x[0] + x[1], t[2] = x[0] - x[1], t[3] = -x[1];
  }
};
template <class T> struct OutputGradMap<T, 2, 5> {
  static constexpr int in = 2, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> h = set1(kRoot<T> / 2), r = set1(kRoot<T>);
    t[0] = x[0], t[1] = mul_add(h, x[1], x[0]), t[2] = neg_mul_add(h, x[1], x[0]);
    t[3] = mul_add(r, x[1], x[0]), t[4] = neg_mul_add(r, x[1], x[0]), t[5] = x[1];
  }
};

template <class T> struct OutputGradMap<T, 4, 2> {
  static constexpr int in = 4, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e = mul_add(set1(T(0.5)), x[2], x[0]),
                 o = mul_add(set1(kRoot<T> / 4), x[3], set1(kRoot<T> / 2) * x[1]);
    t[0] = x[0], t[1] = e + o, t[2] = e - o;
    t[3] = mul_add(set1(T(8)), x[3], mul_add(set1(T(4)), x[2], mul_add(set1(T(2)), x[1], x[0])));
    t[4] = x[3];
  }
};
template <class T> struct OutputGradMap<T, 3, 4> {
  static constexpr int in = 3, out = 6;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e1 = mul_add(set1(T(0.5)), x[2], x[0]), o1 = set1(kRoot<T> / 2) * x[1];
    const vec<T> e2 = mul_add(set1(T(2)), x[2], x[0]), o2 = set1(kRoot<T>) * x[1];
    t[0] = x[0], t[1] = e1 + o1, t[2] = e1 - o1, t[3] = e2 + o2, t[4] = e2 - o2, t[5] = x[2];
  }
};

template <class T> struct OutputGradMap<T, 3, 3> {
  static constexpr int in = 3, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> e = mul_add(set1(T(0.5)), x[2], x[0]), o = set1(kRoot<T> / 2) * x[1];
    t[0] = x[0], t[1] = e + o, t[2] = e - o;
    t[3] = mul_add(set1(T(4)), x[2], mul_add(set1(T(2)), x[1], x[0])), t[4] = x[2];
  }
};

template <class T, int M, int R> struct FilterGradMap;  // G^T
template <class T> struct FilterGradMap<T, 4, 3> {
  static constexpr int in = 6, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = mul_add(sixth, s2, neg_mul_add(set1(T(2) / 3), s1, x[0]));
    t[1] = mul_add(set1(kRoot<T> / 3), d1, set1(kRoot<T> / 6) * d2);
    t[2] = mul_add(third, s2 - s1, x[5]);
  }
};
template <class T> struct FilterGradMap<T, 2, 3> {
  static constexpr int in = 4, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> half = set1(T(0.5));
    t[0] = mul_add(half, x[1] + x[2], x[0]), t[1] = half * (x[1] - x[2]),
    t[2] = mul_add(half, x[1] + x[2], x[3]);
  }
};
template <class T> struct FilterGradMap<T, 2, 5> {
  static constexpr int in = 6, out = 5;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> third = set1(T(1) / 3), sixth = set1(T(1) / 6), two = set1(T(2) / 3);
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = mul_add(sixth, s2, neg_mul_add(two, s1, x[0]));
    t[1] = mul_add(r3, d1, r6 * d2);
    t[2] = third * (s2 - s1);
    t[3] = mul_add(r6, d1, r3 * d2);
    t[4] = mul_add(two, s2, neg_mul_add(sixth, s1, x[5]));
  }
};

template <class T> struct FilterGradMap<T, 4, 2> {
  static constexpr int in = 5, out = 2;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> a = set1(1 / (h - 2)) * x[1], b = set1(1 / (-h - 2)) * x[2];
    t[0] = mul_add(set1(T(1) / 7), x[3], x[0] + (a + b));
    t[1] = mul_add(set1(h), a - b, mul_add(set1(T(2) / 7), x[3], x[4]));
  }
};
template <class T> struct FilterGradMap<T, 3, 4> {
  static constexpr int in = 6, out = 4;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const vec<T> r3 = set1(kRoot<T> / 3), r6 = set1(kRoot<T> / 6);
    const vec<T> s1 = x[1] + x[2], d1 = x[2] - x[1], s2 = x[3] + x[4], d2 = x[3] - x[4];
    t[0] = mul_add(set1(T(1) / 6), s2, neg_mul_add(set1(T(2) / 3), s1, x[0]));
    t[1] = mul_add(r3, d1, r6 * d2);
    t[2] = set1(T(1) / 3) * (s2 - s1);
    t[3] = mul_add(r6, d1, mul_add(r3, d2, x[5]));
  }
};

template <class T> struct FilterGradMap<T, 3, 3> {
  static constexpr int in = 5, out = 3;
  static NN_INLINE void apply(const vec<T>* x, vec<T>* t) {
    const T h = kRoot<T> / 2;
    const vec<T> a = set1(1 / (h - 2)) * x[1], b = set1(1 / (-h - 2)) * x[2], c = set1(T(1) / 7) * x[3];
    t[0] = x[0] + (a + b) + c;
    t[1] = mul_add(set1(h), a - b, set1(T(2)) * c);
    t[2] = mul_add(set1(T(0.5)), a + b, mul_add(set1(T(4)), c, x[4]));
  }
};

}  // namespace
}  // namespace nn
