// The way back through a recurrent layer: what its two parts share. recurrent_backward.cpp walks the steps,
// recurrent_weights.cpp makes the gradients that are products over all steps.
#pragma once
#include "recurrent.h"

namespace nn::cpu {

// Steps are walked in chunks, last ones first: a chunk's d still lies in cache when the products read it.
template <class T> struct Backward {
  RecurrentShape s;
  Sequence<const T> gy, gcells, y, cells;
  Matrix<T> x_step;
  int64_t x_time;
  const T *h0, *c0, *w_ih, *w_hh, *w_hr, *peephole, *mask, *gates;
  const Order* order;
  T *dh, *dc;            // gradients of the states, at last of h0 and c0
  T* gx;                 // (T, N, I) in x's order, or null
  int64_t first, count;  // the chunk: steps k from first on
  T* d;                  // its gates' gradients, a row of columns() for each step and place, d_row() apart
  T* dout;               // likewise the gradients of the projection's result: P numbers

  int64_t columns() const { return (s.cell == kGru ? 4 : s.gates) * s.units; }
  int64_t d_row() const { return padded(columns()); }
  int64_t rows(int64_t from, int64_t to) const {  // of the steps k from .. to
    const auto before = [&](int64_t t) { return order->rows_before(t); };
    return s.direction ? before(s.steps - from) - before(s.steps - to) : before(to) - before(from);
  }
  int64_t place(int64_t k) const { return rows(first, k); }  // the row of d where step k begins
  int64_t rows() const { return place(first + count); }      // of the chunk
  int64_t running(int64_t k) const { return order->running(s.time(k)); }
  int64_t ran_before(int64_t k) const { return k > 0 ? running(k - 1) : 0; }
  bool more() const { return first + count < s.steps; }  // sums go on from later chunks
  // c and h before step k, of rows that were active then (or not): the array, or the states at the start
  Sequence<const T> before(const Sequence<const T>& all, const T* start, int64_t width, int64_t k,
                           bool was) const {
    if (was) return {all.at(s.time(k - 1), 0), 0, all.n};
    return {start, 0, width};
  }
};

template <class T> struct Gradients {
  T *gw_ih, *gw_hh, *gb_ih, *gb_hh, *gw_hr, *gpeephole;
};

// The chunk's part of gw = d^T [x, h_(t-1)], and of the sums of d.
template <class T> void weight_gradients(const Backward<T>& f, const Gradients<T>& to);

// gx = d w_ih of the chunk's steps, in x's order of axes; added to what is there if `add`. packed: w_ih's
// panels, or null.
template <class T> void input_gradient(const Backward<T>& f, const T* packed, bool add);

}  // namespace nn::cpu
