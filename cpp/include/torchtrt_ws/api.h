#pragma once

/// Marks what libtorchtrt_ws exports; everything else in it is hidden.
#define TORCHTRT_WS_API __attribute__((visibility("default")))
