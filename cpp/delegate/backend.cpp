// The ExecuTorch backend "TensorRTBackend": what happens at load, in order. Each step has a file or a function of its
// own.

#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/quote.h"
#include "blob/blob.h"
#include "budget/request.h"
#include "delegate/answer_options.h"
#include "delegate/apply.h"
#include "delegate/arbiter.h"
#include "delegate/change_budgets.h"
#include "delegate/data_map_weights.h"
#include "delegate/error.h"
#include "delegate/handle.h"
#include "delegate/live_handles.h"
#include "delegate/load_request.h"
#include "delegate/log_load.h"
#include "delegate/note_loaded.h"
#include "delegate/open_or_share.h"
#include "delegate/open_plan.h"
#include "delegate/paused_sharers.h"
#include "delegate/process_defaults.h"
#include "delegate/program_memory.h"
#include "delegate/read_options.h"
#include "delegate/unknown_names.h"
#include "engine/engine_kind.h"
#include "engine/log.h"
#include "engine/python_lock.h"
#include "engine/stage.h"
#include "torchtrt_ws/adapter.h"
#include "torchtrt_ws/option_keys.h"

namespace torchtrt_ws {
namespace {

using executorch::runtime::ArrayRef;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInitContext;
using executorch::runtime::BackendOption;
using executorch::runtime::BackendOptionContext;
using executorch::runtime::CompileSpec;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::Span;

Identity identify(BackendInitContext& context, const Metadata& metadata) {
  LiveHandles& handles = LiveHandles::instance();
  const void* scope = context.get_runtime_allocator();
  const char* method = context.get_method_name();
  return {handles.next_id(),
          metadata.own ? metadata.own->name : handles.next_name(scope),
          method == nullptr ? "" : method,
          {},
          scope};
}

/// Those that `is_one` does not name.
template <typename IsOne>
Handles without(Handles handles, IsOne is_one) {
  handles.erase(std::remove_if(handles.begin(), handles.end(), is_one), handles.end());
  return handles;
}

const Handle* awake_one(const Handles& handles) {
  const auto found = std::find_if(handles.begin(), handles.end(), [](const auto& each) { return each->awake(); });
  return found == handles.end() ? nullptr : found->get();
}

/// The engine's bytes: in the blob, or in a data file of the program, as Torch-TensorRT 2.15 may write it.
Result<Payload> find_engine(const Blob& blob, FreeableBuffer* processed, const std::string& subject,
                            const WeightsSource* source) {
  if (blob.engine_size > 0) return Payload(blob.engine, blob.engine_size, [processed] { processed->Free(); });
  const std::string key = blob.engine_key;
  processed->Free();
  auto found = source == nullptr ? Failure{ErrorCode::BadEngine, subject, "a program loaded without data files", "", ""}
                                 : source->find(key, "engine");
  if (found.ok() && found.value().size() > 0) return found;
  return Failure{
      ErrorCode::BadEngine, subject, found.ok() ? "no bytes under the key " + in_quotes(key) : found.failure().found,
      "the engine under the key " + in_quotes(key) + " in the data file (.ptd) that was saved with the program",
      "Put that file beside the program, where torchtrt_ws.load finds it, or pass its path: data= in "
      "Python, Module(program, {data file}) in C++"};
}

Result<std::shared_ptr<Handle>> load_engine(BackendInitContext& context, FreeableBuffer* processed,
                                            ArrayRef<CompileSpec> specs) {
  const auto start = std::chrono::steady_clock::now();
  if (processed == nullptr || processed->data() == nullptr) {
    return Failure{ErrorCode::BadBlob, "engine blob", "no data", "a blob that starts with " + wire::either_magic(),
                   "Save the program again"};
  }
  auto blob = [&] {
    const TracingScope traced(context.event_tracer(), "");  // whose it is, is what it says
    const Stage stage("parse");
    return read_blob(processed->data(), processed->size());
  }();
  if (!blob.ok()) return std::move(blob).failure();
  const Metadata metadata = std::move(blob.value().metadata);
  Identity identity = identify(context, metadata);
  const std::string name = identity.name;  // for as long as the load takes
  std::optional<DataMapWeights> weights;
  if (context.get_named_data_map() != nullptr) weights.emplace(*context.get_named_data_map());
  auto found = find_engine(blob.value(), processed, "engine '" + name + "'", weights ? &*weights : nullptr);
  if (!found.ok()) return std::move(found).failure();
  Payload payload = std::move(found).value();
  const TracingScope traced(context.event_tracer(), name.c_str());
  const std::vector<Option> options = copy_options(context.runtime_specs());
  const Defaults defaults = process_defaults();
  auto request = read_load_request(options, copy_specs(specs), identity.name, defaults);
  if (!request.ok()) return std::move(request).failure();
  auto wanted = read_open_options(options, defaults.open);
  if (!wanted.ok()) return std::move(wanted).failure();
  const auto baked_graphs = baked_graph_use(copy_specs(specs), request.value().notes);

  if (wanted.value().contexts > 1 && metadata.own && metadata.own->keeps_state) {
    return Failure{
        ErrorCode::BadOption, "engine '" + identity.name + "'",
        std::to_string(wanted.value().contexts) + " contexts of an engine that keeps state from call to call",
        "one: each would have a state of its own", "Load the program once for each stream of calls"};
  }

  identity.kind = metadata.own ? metadata.own->kind : guess_engine_kind(payload.data(), payload.size());
  auto open = find_engine_kind(identity.kind);
  if (!open.ok()) return std::move(open).failure();
  const OpenOptions& how = wanted.value();
  const int device = how.device_id.value_or(metadata.device_id);
  const bool share_scratch = how.share_scratch && metadata.own && metadata.own->program_engines > 1;
  const GraphUse graphs = how.cuda_graph.value_or(baked_graphs.value_or(GraphUse::Off));
  const auto open_one = [&](const Metadata& of_plan, Payload bytes) -> Result<OpenedPlan> {
    const WeightsSource* const source = weights ? &*weights : nullptr;
    PayloadKey key = key_of(identity.kind, device, bytes.data(), bytes.size(), of_plan, how.verify);
    if (of_plan.own && of_plan.own->weights) {
      Status noted = note_weights(key, "engine '" + identity.name + "'", *of_plan.own->weights, source);
      if (!noted.ok()) return std::move(noted).failure();
    }
    auto mutex = opening(key);
    auto only_one = lock_patiently(*mutex);
    const OpenRequest how_to_open{
        of_plan,        identity.name,     how.device_id,   graphs,
        how.verify,     identity.scope,    share_scratch,   request.value().margin.value_or(kDefaultMargin),
        how.huge_pages, how.runtime_cache, how.refit_cache, source};
    auto opened = open_or_share(open.value(), std::move(bytes), how_to_open, how.share_engines ? &key : nullptr);
    if (!opened.ok()) return std::move(opened).failure();
    return OpenedPlan{std::move(key), std::move(mutex), std::move(only_one), std::move(opened).value()};
  };
  std::unique_lock<std::mutex> planned;  // until the engine has gone, if something fails
  auto plan = open_plan(identity.kind, identity.name, metadata, device, how.verify, std::move(payload), open_one);
  if (!plan.ok()) return std::move(plan).failure();
  identity.variant = plan.value().variant;
  PayloadKey& key = plan.value().key;
  Engine& engine = *plan.value().opened.engine;

  planned = lock_patiently(planning());
  // Of several plans as the first one is recorded, whichever it is: the totals are sums of those.
  const std::optional<Shares> shares = recorded_shares(metadata, how.share_engines && can_be_shared(key));
  LiveHandles& live = LiveHandles::instance();
  const Handles sharing = live.sharing(engine.weights());
  const Handle* const first = awake_one(sharing);  // where all others sleep this one decides, as the first load does
  const Handles program = live.of(identity.scope);
  const auto is_of_it = [&](const auto& other) { return other->identity().scope == identity.scope; };
  const auto sleeps_on_it = [&](const auto& other) { return first == nullptr && other->weights() == engine.weights(); };
  ProgramMemory memory(engine, shares, {without(program, sleeps_on_it), static_cast<int>(program.size()) + 1},
                       request.value().margin, first == nullptr ? Handles() : without(sharing, is_of_it),
                       {first == nullptr && how.share_engines ? how.contexts : 1, 1});
  auto applied = [&]() -> Result<Applied> {
    if (first != nullptr) return join_budget(engine, request.value(), shares, identity.name, memory, *first);
    const Handle::PausedSharers asleep(engine.weights(), nullptr);  // reports of theirs ask the same weights
    auto decided = apply_budget(engine, request.value(), shares, identity.name, memory);
    if (!decided.ok() && !sharing.empty()) (void)engine.set_budget(0);  // they sleep on
    return decided;
  }();
  if (!applied.ok()) return std::move(applied).failure();
  log_notes(identity.name, applied.value().notes);

  auto handle =
      std::make_shared<Handle>(std::move(identity), shares, std::move(plan.value().opened.engine), applied.value(),
                               how.share_engines ? std::optional(std::move(key)) : std::nullopt);
  if (first == nullptr) {
    for (const auto& sleeper : sharing) sleeper->wake_others(applied.value());
  }
  log_load(handle->report(), applied.value(), std::chrono::steady_clock::now() - start);
  if (const std::string summary = memory.summary(handle->report()); !summary.empty()) log_info(summary);
  note_loaded(handle->identity().id);
  live.add(handle);
  keep_headroom_for({handle});
  return handle;
}

/// Once a program's last engine is loaded it can be told which options were for none of them.
void warn_of_unknown_names(const BackendInitContext& context, const Handle& last) noexcept try {
  if (!last.shares()) return;
  const Handles program = LiveHandles::instance().of(last.identity().scope);
  if (program.size() != static_cast<size_t>(last.shares()->engines)) return;
  for (const std::string& warning : unknown_names(copy_options(context.runtime_specs()), program)) log_info(warning);
} catch (...) {  // no memory for a warning is no reason to refuse an engine that is loaded
}

/// The last engine on some weights that was awake has gone: they leave the device.
void let_sleepers_rest(const Handles& sharing) {
  if (sharing.empty() || awake_one(sharing) != nullptr) return;
  const auto lock = lock_patiently(planning());
  sharing.front()->rest();
}

class Backend final : public executorch::runtime::BackendInterface {
 public:
  bool is_available() const override { return registration_status() == Error::Ok; }

  executorch::runtime::Result<DelegateHandle*> init(BackendInitContext& context, FreeableBuffer* processed,
                                                    ArrayRef<CompileSpec> specs) const override {
    DelegateHandle* loaded = nullptr;
    const Error error = guarded("loading an engine", [&]() -> Status {
      auto handle = load_engine(context, processed, specs);
      if (!handle.ok()) return std::move(handle).failure();
      loaded = handle.value().get();
      warn_of_unknown_names(context, *handle.value());
      return ok_status();
    });
    if (error != Error::Ok) return error;
    return loaded;
  }

  Error execute(BackendExecutionContext& context, DelegateHandle* handle, Span<EValue*> args) const override {
    if (handle == nullptr) return Error::DelegateInvalidHandle;
    auto* const engine = static_cast<Handle*>(handle);
    const TracingScope traced(context.event_tracer(), engine->identity().name.c_str());
    return guarded("running an engine", [&] { return engine->execute(args); });
  }

  Error set_option(BackendOptionContext&, const Span<BackendOption>& options) override {
    return guarded("set_option", [&]() -> Status {
      const std::vector<Option> copies = copy_options({options.data(), options.size()});
      Status checked = check_defaults(copies);
      if (!checked.ok()) return checked;
      Status changed = change_budgets(copies, LiveHandles::instance().all());
      return changed.ok() ? merge_defaults(copies) : changed;
    });
  }

  Error get_option(BackendOptionContext&, Span<BackendOption>& options) override {
    return guarded("get_option", [&] { return answer_options(options, LiveHandles::instance().all()); });
  }

  void destroy(DelegateHandle* handle) const override {
    // The last reference may be held by a set_option() in another thread; the engine goes now all the same. Listed
    // until then: a change of budget must know of every context on the weights.
    LiveHandles& live = LiveHandles::instance();
    const auto found = live.find(handle);
    if (found == nullptr) return;
    found->close();
    live.remove(handle);
    (void)guarded("destroying an engine", [&] {
      let_sleepers_rest(live.sharing(found->weights()));
      return ok_status();
    });
  }
};

Error register_delegate() {
  static Backend backend;
  executorch::runtime::runtime_init();  // ExecuTorch logs only after it, and this may be the first call of the process
  if (executorch::runtime::get_backend_class(kBackendId) != nullptr) {
    log_error(
        std::string("found another backend registered as '") + kBackendId +
        "' in this process; programs run on that one, without this library's budgets. Load torchtrt_ws before the "
        "other library (Torch-TensorRT's ExecuTorch runtime, say), or do not load the other.");
    return Error::RegistrationAlreadyRegistered;
  }
  const Error error = executorch::runtime::register_backend({kBackendId, &backend});
  if (error != Error::Ok) {
    log_error(std::string("found ") + executorch::runtime::to_string(error) + " from ExecuTorch while registering '" +
              kBackendId + "'; expected Ok. The process may hold too many backends: load fewer.");
  }
  return error;
}

const Error registration = register_delegate();

}  // namespace

Error registration_status() { return registration; }

Error load_adapter(const std::string& kind) {
  return guarded("load_adapter", [&]() -> Status {
    auto found = find_engine_kind(kind);
    if (!found.ok()) return std::move(found).failure();
    return ok_status();
  });
}

}  // namespace torchtrt_ws
