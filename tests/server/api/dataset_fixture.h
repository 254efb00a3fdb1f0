// A server and calls of its DatasetService.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/crc32c.h"
#include "tests/server/api/test_server.h"

namespace trainyard {

class DatasetFixture : public ::testing::Test {
 protected:
  using Stub = v1::DatasetService::Stub;

  v1::Dataset MustUpload(std::string_view id, std::string_view bytes) {
    v1::Dataset dataset;
    const grpc::Status status = Upload(*datasets_, id, bytes, dataset);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return dataset;
  }
  // Reads what `request` names to the end; every chunk is checked.
  grpc::Status Download(const v1::DownloadDatasetRequest& request, std::string& bytes,
                        v1::FileChunk& first) {
    grpc::ClientContext context;
    const auto reader = datasets_->DownloadDataset(&context, request);
    v1::FileChunk chunk;
    bool is_first = true;
    while (reader->Read(&chunk)) {
      if (is_first) first = chunk;
      is_first = false;
      EXPECT_EQ(chunk.offset(), request.offset() + static_cast<int64_t>(bytes.size()));
      EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
      EXPECT_LE(chunk.data().size(), 1u << 20);
      bytes += chunk.data();
    }
    return reader->Finish();
  }

  TestServer server_;
  std::unique_ptr<Stub> datasets_ = server_.datasets();
};

}  // namespace trainyard
