/** 256 words of each kind, short, told apart on the telephone, in no list twice. */
const ADJECTIVES = `
  agile airy alert amber ample awake azure balmy bold brave breezy brief bright brisk broad bronze busy calm
  candid canny cheery chilly civic civil clean clear clever cloudy cobalt cold comic cool copper cosmic cozy
  creamy crisp curly daily dainty daring dawn decent deep deft dense direct docile dusty eager early easy
  ebony epic equal exact exotic expert fabled famous fancy fast fiery firm flaxen fleet floral fluffy foggy
  fond formal frank free fresh frosty frugal funny gentle giant gifted glad glassy global glossy golden grand
  grassy great green grey handy happy hardy hearty herbal hidden high hilly hollow honest humble icy ideal
  indigo ivory jade jolly jovial joyful keen kind large late leafy level light lilac lime linen little lively
  local lofty long loyal lucid lucky lunar magic major maple marble mellow merry mighty mild mint misty modern
  modest mossy navy neat nimble noble nordic oaken ocean olive onyx open orange oval pale pastel pearly perky
  pink placid plain plucky plush polar polite prime proper proud pure purple quick quiet rapid rare ready
  regal rich robust rocky rosy round royal ruby rural rustic rusty sage salty sandy satin serene sharp shiny
  silent silken silver simple sleek slow small smart smooth snowy snug social soft solar solemn solid sonic
  sound spicy spry square stable starry steady still stoic stormy stout strong sturdy subtle sunny supple sure
  sweet tall tame teal tender tidal tidy tiny topaz tropic trusty urban useful vast velvet violet vital vivid
  warm wavy whole wide wild windy wise wooden woolly yellow young zesty
`
  .trim()
  .split(/\s+/);
const NOUNS = `
  acorn adder alder alpaca aspen aster badger bamboo barley basil bat beach beaver bee beetle birch bison
  bloom boar bobcat breeze brook cactus camel canary canyon carp carrot cat cavern cedar cherry cicada cliff
  cloud clover cobra cod comet condor cougar coyote crab crane creek crocus crow cuckoo curlew daisy delta
  desert dingo donkey dove dune eagle eel egret elk elm falcon fawn fern ferret fig finch forest fox frog
  galaxy gannet garden gecko gerbil gibbon ginger goat goose gopher gorilla grape grove gull hamster harbor
  hawk heather hen heron herring hippo holly hornet horse husky hyena ibex ibis iguana impala iris island ivy
  jackal jaguar jasmine jay juniper kestrel kitten kiwi koala lagoon lake lark lemming lemon lemur leopard
  lily lion lizard llama lobster locust lotus lynx macaw magpie mallard mammoth manatee mango mantis marlin
  marmot marten meadow melon meteor mink mole monkey moon moose moth mouse mussel myrtle narwhal nebula nettle
  newt nutmeg oak oasis ocelot octopus orca orchid oriole osprey ostrich otter owl oyster palm panda panther
  parrot parsley peach peacock pear pebble pelican penguin peony pepper petunia pigeon pine plover poplar
  poppy possum prairie puffin puma quail quartz quokka rabbit raccoon rainbow raven reef rhino river robin
  rook rooster rose salmon sardine savanna seal sequoia shark sheep shrew shrimp skunk skylark sloth snail
  sparrow spider spruce squid stoat stork summit swallow swan tapir tern thistle thrush tiger toad toucan
  trout tulip tundra turkey turnip turtle valley viper volcano vulture walnut walrus warbler wasp weasel whale
  wheat willow wolf wombat wren yak zebra
`
  .trim()
  .split(/\s+/);

const NUMBERS = 100;

/** Random bits of a code: log2(256 · 256 · 100). */
export const CODE_BITS = Math.log2(ADJECTIVES.length * NOUNS.length * NUMBERS);

export const CODE_PATTERN = /^[a-z]+-[a-z]+-\d{1,2}$/i;

/** A code with which an island joins a run; short, so that one person can tell it to another. @param random a whole number below the one given, unpredictable */
export const newCode = (random: (below: number) => number): string =>
  `${ADJECTIVES[random(ADJECTIVES.length)]}-${NOUNS[random(NOUNS.length)]}-${random(NUMBERS)}`;
