#include "cli/cli_interrupt.h"

#include <unistd.h>

#include <csignal>
#include <string_view>

namespace greta::engine {
namespace {

volatile std::sig_atomic_t caught_signal = 0;

extern "C" void remember_signal(int signal) { caught_signal = signal; }

class InterruptProbe : public Probe {
 public:
  bool last_row_only() const override { return true; }
  Result<> end_pass(const Pass&) override {
    if (caught_signal == 0) return {};
    const int signal = caught_signal;
    return tl::unexpected<Error>(Error{.message = signal == SIGINT ? "interrupted" : "terminated",
                                       .exit_code = 128 + signal});
  }
};

extern "C" void name_the_cut_file(int) {
  constexpr std::string_view kMessage =
      "greta-infer: the model file was cut short while it was in use\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(static_cast<int>(EngineExit::input));
}

}  // namespace

void catch_cut_files() {
  struct sigaction action {};
  action.sa_handler = name_the_cut_file;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

std::unique_ptr<Probe> make_interrupt_probe() { return std::make_unique<InterruptProbe>(); }

}  // namespace greta::engine
