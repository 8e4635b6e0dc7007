#pragma once
// Memory, stream, launches and graphs of a real GPU, through the names that CUDA and HIP share.

#include <string>
#include <vector>

#include "gpu/launch_record.h"
#include "gpu/target.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

#if GRETA_TARGET_HIP
#define GRETA_GPU(name) hip##name
using DeviceProperties = hipDeviceProp_t;
constexpr Target kTarget = Target::hip;
#else
#define GRETA_GPU(name) cuda##name
using DeviceProperties = cudaDeviceProp;
constexpr Target kTarget = Target::cuda;
#endif

inline Ran check(GRETA_GPU(Error_t) code, const char* what) {
  if (code == GRETA_GPU(Success)) return {};
  return {std::string(what) + ": " + GRETA_GPU(GetErrorString)(code)};
}

class GpuGraph final : public Graph {
 public:
  struct Node {
    size_t entry;
    int grid[3];
    int threads;
  };
  ~GpuGraph() override {
    // Nothing can be done about a failure here.
    if (executable != nullptr) (void)GRETA_GPU(GraphExecDestroy)(executable);
  }
  GRETA_GPU(GraphExec_t) executable = nullptr;
  std::vector<Node> nodes;
};

class Runtime : public Device {
 public:
  Ran open() {
    int devices = 0;
    if (const Ran ran = check(GRETA_GPU(GetDeviceCount)(&devices), "no device"); !ran.ok())
      return ran;
    if (devices == 0) return {"no device"};
    DeviceProperties properties;
    if (const Ran ran = check(GRETA_GPU(GetDeviceProperties)(&properties, 0), "device 0");
        !ran.ok()) {
      return ran;
    }
    name_ = properties.name;
#if GRETA_TARGET_HIP
    isa_ = properties.gcnArchName;
#else
    isa_ = "sm_" + std::to_string(properties.major * 10 + properties.minor);
#endif
    return check(GRETA_GPU(StreamCreate)(&stream_), "stream");
  }
  ~Runtime() override {
    if (stream_ != nullptr) (void)GRETA_GPU(StreamDestroy)(stream_);
  }
  Target target() const override { return kTarget; }
  std::string name() const override { return name_; }
  std::string isa() const override { return isa_; }

  Ran allocate(int64_t bytes, std::byte** out) override {
    return check(GRETA_GPU(Malloc)(reinterpret_cast<void**>(out), static_cast<size_t>(bytes)),
                 ("allocation of " + std::to_string(bytes) + " bytes").c_str());
  }
  void release(std::byte* memory) override { (void)GRETA_GPU(Free)(memory); }
  Ran upload(void* to, const void* from, int64_t bytes) override {
    return transfer(to, from, bytes, GRETA_GPU(MemcpyHostToDevice), "upload");
  }
  Ran download(void* to, const void* from, int64_t bytes) override {
    return transfer(to, from, bytes, GRETA_GPU(MemcpyDeviceToHost), "download");
  }
  Ran copy(void* to, const void* from, int64_t bytes) override {
    return check(GRETA_GPU(MemcpyAsync)(to, from, static_cast<size_t>(bytes),
                                        GRETA_GPU(MemcpyDeviceToDevice), stream_),
                 "copy");
  }
  Ran fill(void* to, uint8_t byte, int64_t bytes) override {
    return check(GRETA_GPU(MemsetAsync)(to, byte, static_cast<size_t>(bytes), stream_), "fill");
  }
  Ran synchronize() override { return check(GRETA_GPU(StreamSynchronize)(stream_), "synchronize"); }

  bool has_graphs() const override { return true; }
  Ran begin_capture() override {
    capturing_ = std::make_unique<GpuGraph>();
    return check(GRETA_GPU(StreamBeginCapture)(stream_, GRETA_GPU(StreamCaptureModeThreadLocal)),
                 "begin of a graph");
  }
  Ran end_capture(std::unique_ptr<Graph>* graph) override {
    GRETA_GPU(Graph_t) recorded = nullptr;
    Ran ran = check(GRETA_GPU(StreamEndCapture)(stream_, &recorded), "end of a graph");
    if (ran.ok()) {
      ran.error =
          check(GRETA_GPU(GraphInstantiateWithFlags)(&capturing_->executable, recorded, 0), "graph")
              .error;
      (void)GRETA_GPU(GraphDestroy)(recorded);
    }
    if (ran.ok()) *graph = std::move(capturing_);
    capturing_.reset();
    return ran;
  }
  Ran replay(const Graph& graph) override {
    const auto& mine = static_cast<const GpuGraph&>(graph);
    for (const GpuGraph::Node& node : mine.nodes)
      record_.count(node.entry, node.grid, node.threads);
    return check(GRETA_GPU(GraphLaunch)(mine.executable, stream_), "replay of a graph");
  }
  std::vector<KernelRun> launched() const override { return record_.launched(); }

 protected:
  template <class Args>
  Ran launch(const Name& name, void (*kernel)(Args), int x, int y, int z, int threads,
             const Args& args) {
    const int grid[3] = {x, y, z};
    const size_t entry = record_.entry(reinterpret_cast<const void*>(kernel), name, kTarget);
    if (capturing_ != nullptr) {
      capturing_->nodes.push_back({entry, {x, y, z}, threads});
    } else {
      record_.count(entry, grid, threads);
    }
    kernel<<<dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)),
             static_cast<unsigned>(threads), 0, stream_>>>(args);
    return check(GRETA_GPU(GetLastError)(), name.op.c_str());
  }

 private:
  Ran transfer(void* to, const void* from, int64_t bytes, GRETA_GPU(MemcpyKind) kind,
               const char* what) {
    const Ran ran =
        check(GRETA_GPU(MemcpyAsync)(to, from, static_cast<size_t>(bytes), kind, stream_), what);
    return ran.ok() ? synchronize() : ran;
  }
  std::string name_, isa_;
  GRETA_GPU(Stream_t) stream_ = nullptr;
  std::unique_ptr<GpuGraph> capturing_;
  LaunchRecord record_;
};

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
