#pragma once

#include <nanobind/nanobind.h>

namespace torchtrt_ws::python {

/// A view of a Python object's bytes, for as long as this lives.
class BufferView {
 public:
  BufferView(nanobind::handle object, int flags) {
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw nanobind::python_error();
  }
  ~BufferView() { PyBuffer_Release(&view_); }
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;

  const Py_buffer& operator*() const { return view_; }

 private:
  Py_buffer view_{};
};

}  // namespace torchtrt_ws::python
