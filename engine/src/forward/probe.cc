#include "forward/probe.h"

namespace greta::engine {

std::string to_string(Point point) {
  switch (point) {
    case Point::embed_out:
      return "embed_out";
    case Point::x_in:
      return "x_in";
    case Point::attn_norm:
      return "attn_norm";
    case Point::q_pre:
      return "q_pre";
    case Point::k_pre:
      return "k_pre";
    case Point::v_pre:
      return "v_pre";
    case Point::q:
      return "q";
    case Point::k:
      return "k";
    case Point::v:
      return "v";
    case Point::attn_out:
      return "attn_out";
    case Point::wo_out:
      return "wo_out";
    case Point::x_after_attn:
      return "x_after_attn";
    case Point::ffn_norm:
      return "ffn_norm";
    case Point::mlp_out:
      return "mlp_out";
    case Point::x_out:
      return "x_out";
    case Point::final_norm:
      return "final_norm";
    case Point::logits:
      return "logits";
  }
  return "?";
}

}  // namespace greta::engine
