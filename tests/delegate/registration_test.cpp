// Another library has registered the backend id before ours is loaded: ours says so, and does not pretend.

#include <dlfcn.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/runtime.h>
#include <gtest/gtest.h>

namespace {

using executorch::runtime::Error;

class Other final : public executorch::runtime::BackendInterface {
 public:
  bool is_available() const override { return true; }
  executorch::runtime::Result<executorch::runtime::DelegateHandle*> init(
      executorch::runtime::BackendInitContext&, executorch::runtime::FreeableBuffer*,
      executorch::runtime::ArrayRef<executorch::runtime::CompileSpec>) const override {
    return Error::NotImplemented;
  }
  Error execute(executorch::runtime::BackendExecutionContext&, executorch::runtime::DelegateHandle*,
                executorch::runtime::Span<executorch::runtime::EValue*>) const override {
    return Error::NotImplemented;
  }
};

TEST(Registration, ASecondLibrarySaysThatItIsSecond) {
  static Other other;
  executorch::runtime::runtime_init();
  ASSERT_EQ(executorch::runtime::register_backend({"TensorRTBackend", &other}), Error::Ok);
  ::testing::internal::CaptureStderr();
  void* library = dlopen(TORCHTRT_WS_LIBRARY, RTLD_NOW);
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_NE(said.find("found another backend registered as 'TensorRTBackend'"), std::string::npos) << said;
  EXPECT_NE(said.find("Load torchtrt_ws before"), std::string::npos) << said;
  using Status = Error (*)();
  const auto status = reinterpret_cast<Status>(dlsym(library, "_ZN11torchtrt_ws19registration_statusEv"));
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status(), Error::RegistrationAlreadyRegistered);
  EXPECT_EQ(executorch::runtime::get_backend_class("TensorRTBackend"), &other);
}

}  // namespace
