#include "dispatch/capture.h"

#include "dispatch/allocator_hook.h"
#include "dispatch/op_handler.h"
#include "dispatch/recorder.h"
#include "dispatch/scope.h"

namespace stint {

Profile CaptureProgram(const Program& program, DeviceRuntime& runtime,
                       const CaptureOptions& options) {
  runtime.ReleaseLibraryWorkspaces();  // So that they are asked for under our eyes.
  Recorder recorder(runtime, options);
  {
    const ScopedNodeLog node_log;
    const ScopedOpHandler handler(recorder);
    program(recorder);
  }
  return recorder.Finish();
}

}  // namespace stint
