// The transforms of Winograd convolution with R x R filters: F(M, R) makes M x M results of a tile from
// e = (M + R - 1)^2 products per channel instead of M^2 R^2. Vectors run along channels.
//
//   y = A^T [ (G w G^T) . (B^T d B) ] A      and for the filter's gradient, the adjoint:
//   gw = G^T [ sum over tiles (A gy A^T) . (B^T d B) ] G
namespace nn {
namespace {

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

struct Whole {};  // lanes: all, without a mask
template <class T> NN_INLINE vec<T> load(const T* p, Whole) { return load(p); }
template <class T> NN_INLINE void store(T* p, vec<T> v, Whole) { store(p, v); }

// f(c, lanes from c on) for n of them in all. What f calls takes its places by value: the compiler would read
// them again after each store.
template <class T, class F> NN_INLINE void each_register(int64_t n, F&& f) {
  constexpr int w = vec<T>::width;
  int64_t c = 0;
  for (; c + w <= n; c += w) f(c, Whole());
  if (c < n) f(c, int(n - c));
}
template <class T, class Map>
void image_to_tile(const T* x, int64_t row_step, int64_t col_step, int64_t channels, T* v, int64_t v_step) {
  each_register<T>(channels, [=](int64_t c, auto n) {
    transform<Map, T>([=](int i, int j) { return load(x + i * row_step + j * col_step + c, n); },
                      [=](int i, int j, vec<T> t) { store(v + (i * Map::out + j) * v_step + c, t, n); });
  });
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
      return f(Form<4, 2, 2>());
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
  each_register<T>(channels, [=](int64_t c, auto n) {
    const vec<T> b = bias ? load(bias + c, n) : set1(T(0)), low = set1(floor);
    transform<Map, T>([=](int i, int j) { return load(s + (i * Map::in + j) * s_step + c, n); },
                      [=](int i, int j, vec<T> t) {
                        if (i < rows && j < cols)
                          store(y + i * row_step + j * col_step + c, max(low, t + b), n);
                      });
  });
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
  each_register<T>(lanes, [=](int64_t k, auto n) {
    transform<Map, T>(
        [=](int i, int j) { return load(x + (i * Map::in * From + j) * From * x_step + k, n); },
        [=](int i, int j, vec<T> t) { store(y + (i * Map::out * To + j) * To * y_step + k, t, n); });
  });
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
  each_register<T>(l.lanes, [=](int64_t k, auto n) {
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
  });
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
