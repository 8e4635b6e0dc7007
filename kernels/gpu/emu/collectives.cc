// What the lanes of a wave do together, carried out once all have given their part.

#include <cstdint>

#include "gpu/emu/matrix.h"
#include "gpu/emu/scheduler.h"

namespace greta::kernels::gpu::emu {
namespace {

Lane& this_lane() { return static_cast<Lane&>(*running); }

void multiply_by_wave(Operation operation, float* d, const void* a, const void* b, Site site) {
  Lane& lane = this_lane();
  lane.d = d;
  lane.a = a;
  lane.b = b;
  lane.scheduler->arrive(lane, operation, site);
}

}  // namespace

uint64_t exchange_bits(uint64_t bits, int source, Site site) {
  Lane& lane = this_lane();
  lane.bits = bits;
  lane.source = source;
  lane.scheduler->arrive(lane, Operation::exchange, site);
  return lane.bits;
}

float butterfly_by(float value, void (*combine_all)(float (&values)[kLanes]), Site site) {
  Lane& lane = this_lane();
  lane.value = value;
  lane.combine_all = combine_all;
  lane.scheduler->arrive(lane, Operation::butterfly, site);
  return lane.value;
}

void wave_fence(Site site) {
  Lane& lane = this_lane();
  lane.scheduler->arrive(lane, Operation::wave_fence, site);
}

void block_barrier(Site site) {
  Lane& lane = this_lane();
  lane.scheduler->arrive(lane, Operation::block_barrier, site);
}

void mfma_f32_16x16x4_f32(float (&d)[4], float a, float b, Site site) {
  multiply_by_wave(Operation::mfma_f32, d, &a, &b, site);
}
void mfma_f32_16x16x16_bf16(float (&d)[4], const uint16_t* a, const uint16_t* b, Site site) {
  multiply_by_wave(Operation::mfma_bf16, d, a, b, site);
}
void mfma_f32_16x16x16_f16(float (&d)[4], const uint16_t* a, const uint16_t* b, Site site) {
  multiply_by_wave(Operation::mfma_f16, d, a, b, site);
}

// False where it cannot be, with the fault noted.
bool Scheduler::carry_out(Wave& wave) {
  Lane* const lanes = &lanes_[static_cast<size_t>(wave.first)];
  if (wave.at == Operation::wave_fence) {
    wave.since = shared_.synchronise();
    return true;
  }
  if (wave.at == Operation::exchange) return exchange(wave);
  // What absent lanes would give is anything on a GPU.
  if (wave.lanes != kLanes) {
    note(lanes[0], wave.site,
         "absent lanes: the wave has " + std::to_string(wave.lanes) + " of " +
             std::to_string(kLanes));
    return false;
  }
  if (wave.at == Operation::butterfly) {
    float values[kLanes];
    for (int l = 0; l < kLanes; ++l) values[l] = lanes[l].value;
    lanes[0].combine_all(values);
    for (int l = 0; l < kLanes; ++l) lanes[l].value = values[l];
  } else {
    multiply(wave);
  }
  return true;
}

bool Scheduler::exchange(Wave& wave) {
  Lane* const lanes = &lanes_[static_cast<size_t>(wave.first)];
  uint64_t given[kLanes];
  for (int l = 0; l < wave.lanes; ++l) given[l] = lanes[l].bits;
  for (int l = 0; l < wave.lanes; ++l) {
    const int source = lanes[l].source;
    if (source < 0 || source >= wave.lanes) {
      note(lanes[l], wave.site,
           "shuffle from absent lane " + std::to_string(source) + ": the wave has " +
               std::to_string(wave.lanes));
      return false;
    }
    lanes[l].bits = given[source];
  }
  return true;
}

void Scheduler::multiply(Wave& wave) {
  if (wave.at == Operation::mfma_f32) {
    multiply_tiles<float, 1>(wave);
  } else {
    multiply_tiles<uint16_t, 4>(wave);
  }
}

// Gathers A and B from the lanes by the instruction's map, and gives D back.
template <class T, int PerLane>
void Scheduler::multiply_tiles(Wave& wave) {
  constexpr int kDepth = kLanes / kSide * PerLane;
  Lane* const lanes = &lanes_[static_cast<size_t>(wave.first)];
  T a[kSide * kDepth], b[kDepth * kSide];
  float d[kSide * kSide];
  for (int l = 0; l < kLanes; ++l) {
    const int side = l % kSide, quarter = l / kSide;
    const T* const lane_a = static_cast<const T*>(lanes[l].a);
    const T* const lane_b = static_cast<const T*>(lanes[l].b);
    for (int i = 0; i < PerLane; ++i) {
      a[side * kDepth + quarter * PerLane + i] = lane_a[i];
      b[(quarter * PerLane + i) * kSide + side] = lane_b[i];
    }
    for (int r = 0; r < 4; ++r) d[(4 * quarter + r) * kSide + side] = lanes[l].d[r];
  }
  if constexpr (PerLane == 1) {
    multiply_f32(a, b, kDepth, d);
  } else {
    const auto format = wave.at == Operation::mfma_bf16 ? Format::bf16 : Format::f16;
    multiply_16(launch_->mfma, format, a, b, d);
  }
  for (int l = 0; l < kLanes; ++l) {
    for (int r = 0; r < 4; ++r) {
      lanes[l].d[r] = d[(4 * (l / kSide) + r) * kSide + l % kSide];
    }
  }
}

}  // namespace greta::kernels::gpu::emu
