#pragma once
// SHA-256, piece by piece. Source: OpenSSL's EVP.

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace greta::store {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  std::string hex();  // 64 lower-case digits; the object is spent

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace greta::store
