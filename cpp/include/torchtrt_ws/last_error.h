#pragma once

#include "torchtrt_ws/engines.h"
