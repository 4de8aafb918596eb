// The _cpu extension: the op table bound to nn::cpu, and the switches of the CPU floor.
#include "../bind.h"
#include "../simd/kernels.h"
#include "probe.h"

namespace {
int import_numpy() {
  if (_import_array() < 0) throw py::error_already_set();
  return 0;
}
}  // namespace

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  import_numpy();
  nn::bind::register_errors();
  m.doc() = "CPU kernels of nnkern. Private: call the functions of nnkern instead.";

#define NN_BIND(name, result, params, ...) nn::bind::def(m, #name, &nn::cpu::name, __VA_ARGS__);
  NN_OPS(NN_BIND)
#undef NN_BIND

  m.def("isa", [] { return nn::isa().name; }, "The instruction set in use.");
  m.def("available_isas", &nn::available_isas, "Those that this build and CPU run, best first.");
  m.def(
      "set_isa",
      [](const char* name) {
        if (!nn::set_isa(name))
          throw py::value_error("set_isa: '" + std::string(name) +
                                "' is not one of: " + nn::available_isas());
      },
      py::arg("name"));
  // Whatever is made once is made here, at import: a fork while another thread made it would leave the child
  // waiting for ever. And a bad NNKERN_ISA or NNKERN_NUM_THREADS fails here.
  nn::isa();
  nn::available_isas();
  nn::num_threads();
  nn::memory_stats();
  nn::bind::memory_handler();

  m.def("probe_flops", &nn::cpu::probe_flops, py::arg("is_double"), py::arg("threads"),
        py::call_guard<py::gil_scoped_release>());
  m.def("probe_read", &nn::cpu::probe_read, py::arg("bytes"), py::arg("threads"),
        py::call_guard<py::gil_scoped_release>());
  m.def("probe_write", &nn::cpu::probe_write, py::arg("bytes"), py::arg("threads"),
        py::call_guard<py::gil_scoped_release>());
  m.def("probe_copy", &nn::cpu::probe_copy, py::arg("bytes"), py::arg("threads"),
        py::call_guard<py::gil_scoped_release>());

  m.def("num_threads", &nn::num_threads);
  m.def("set_num_threads", &nn::set_num_threads, py::arg("n"));
  m.def("num_threads_reason", &nn::num_threads_reason);
  m.def("empty_cache", &nn::empty_cache);
  m.def("set_memory_cap", &nn::set_memory_cap, py::arg("bytes"));
  m.def("set_poison", &nn::set_poison, py::arg("on"));
  m.def("memory_stats", [] {
    nn::MemoryStats s = nn::memory_stats();
    py::dict d;
    d["live_bytes"] = s.live_bytes;
    d["cached_bytes"] = s.cached_bytes;
    d["cap_bytes"] = s.cap_bytes;
    d["system_calls"] = s.system_calls;
    d["reused_calls"] = s.reused_calls;
    return d;
  });
}
