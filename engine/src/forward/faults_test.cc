#include "forward/faults.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace greta::engine {
namespace {

Faults parsed(std::string_view text) {
  auto faults = Faults::parse(text);
  EXPECT_TRUE(faults) << faults.error().str();
  return faults ? *faults : Faults{};
}

TEST(Faults, TableIsInTheOrderOfTheEnumAndDocumented) {
  std::set<std::string_view> names;
  int64_t index = 0;
  for (const auto& info : fault_table()) {
    EXPECT_EQ(static_cast<int64_t>(info.fault), index++) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.doc.empty()) << info.name;
  }
  EXPECT_EQ(static_cast<int64_t>(Fault::fp16_accumulate) + 1, index);
}

TEST(Faults, EmptyTextPlacesNothing) {
  EXPECT_FALSE(parsed("").any());
  EXPECT_FALSE(parsed("  ").any());
  EXPECT_FALSE(Faults{}.at(Fault::gqa_map, 0, 0, 0));
}

TEST(Faults, ANameAloneIsPlacedEverywhereAndIsThatFaultOnly) {
  for (const auto& info : fault_table()) {
    const Faults faults = parsed(info.name);
    EXPECT_TRUE(faults.any());
    EXPECT_TRUE(faults.at(info.fault));
    EXPECT_TRUE(faults.at(info.fault, 7, 3, 9));
    for (const auto& other : fault_table()) {
      EXPECT_EQ(faults.at(other.fault, 0, 0, 0), other.fault == info.fault) << other.name;
    }
  }
}

TEST(Faults, CoordinatesNarrowAPlace) {
  const Faults faults = parsed("gqa_map:layer=2,head=5,step=1");
  struct Case {
    int64_t layer, head, step;
    bool placed;
  };
  for (const auto& c :
       {Case{2, 5, 1, true}, Case{1, 5, 1, false}, Case{2, 4, 1, false}, Case{2, 5, 0, false},
        Case{-1, 5, 1, true}, Case{2, -1, 1, true}, Case{2, 5, -1, true}, Case{3, -1, -1, false}}) {
    EXPECT_EQ(faults.at(Fault::gqa_map, c.layer, c.head, c.step), c.placed)
        << c.layer << ' ' << c.head << ' ' << c.step;
  }
}

TEST(Faults, SeveralAreSeparatedBySemicolons) {
  const Faults faults = parsed("kv_layer_base:layer=1; stale_slot : step=2 ;kv_layer_base:layer=3");
  EXPECT_TRUE(faults.at(Fault::kv_layer_base, 1, 0, 0));
  EXPECT_FALSE(faults.at(Fault::kv_layer_base, 2, 0, 0));
  EXPECT_TRUE(faults.at(Fault::kv_layer_base, 3, 0, 0));
  EXPECT_TRUE(faults.at(Fault::stale_slot, 0, -1, 2));
  EXPECT_FALSE(faults.at(Fault::stale_slot, 0, -1, 1));
}

TEST(Faults, ErrorsNameTheValueAndTheNearest) {
  struct Case {
    std::string_view text, message;
  };
  for (const auto& c : {
           Case{"kv_layer_bsae",
                "GRETA_INJECT: unknown fault `kv_layer_bsae` (did you mean "
                "`kv_layer_base`?)"},
           Case{"zzz", "GRETA_INJECT: unknown fault `zzz`"},
           Case{"gqa_map:layr=1",
                "GRETA_INJECT: fault `gqa_map` takes the keys layer,head,step, "
                "not `layr` (did you mean `layer`?)"},
           Case{"arms_same_kernel:layer=1",
                "GRETA_INJECT: fault `arms_same_kernel` takes no keys, not `layer`"},
           Case{"gqa_map:layer=x",
                "GRETA_INJECT: layer must be a number from 0, not `x` in `gqa_map:layer=x`"},
           Case{"gqa_map:layer=-2",
                "GRETA_INJECT: layer must be a number from 0, not `-2` in `gqa_map:layer=-2`"},
           Case{"gqa_map:layer",
                "GRETA_INJECT: layer must be a number from 0, not `` in "
                "`gqa_map:layer`"},
           Case{"gqa_map:head=99999999999999999999",
                "GRETA_INJECT: head must be a number from 0, not `99999999999999999999` in "
                "`gqa_map:head=99999999999999999999`"},
           Case{"gqa_map:layer=1,layer=2",
                "GRETA_INJECT: key `layer` twice in `gqa_map:layer=1,layer=2`"},
           Case{"gqa_map;;stale_slot", "GRETA_INJECT: empty entry in `gqa_map;;stale_slot`"},
           Case{"gqa_map:",
                "GRETA_INJECT: fault `gqa_map` takes the keys layer,head,step, not "
                "``"},
       }) {
    const auto faults = Faults::parse(c.text);
    ASSERT_FALSE(faults) << c.text;
    EXPECT_EQ(faults.error().str(), c.message);
    EXPECT_EQ(faults.error().exit_code, static_cast<int>(EngineExit::usage));
  }
}

TEST(Faults, AFaultOutsideTheModelIsAnError) {
  EXPECT_TRUE(parsed("gqa_map:layer=3,head=7").fits(4, 8));
  EXPECT_TRUE(parsed("gqa_map").fits(1, 1));
  const auto layer = parsed("gqa_map:layer=4").fits(4, 8);
  ASSERT_FALSE(layer);
  EXPECT_EQ(layer.error().str(),
            "GRETA_INJECT: layer 4 is outside the model, which has 4 (0 to 3)");
  EXPECT_FALSE(parsed("gqa_map:head=8").fits(4, 8));
}

}  // namespace
}  // namespace greta::engine
