// onnx_check FILE...: whether ONNX's own checker accepts the models; what it says otherwise. A
// program of its own, as libonnx brings messages of the same names as trainyard_onnx_proto.
#include <cstdio>
#include <exception>
#include <string>

// As onnx/checker.h declares it; that header needs the messages of libonnx.
namespace onnx::checker {
void check_model(const std::string& model_path);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    try {
      onnx::checker::check_model(std::string(argv[i]));
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", argv[i], error.what());
      return 1;
    }
  }
  return 0;
}
