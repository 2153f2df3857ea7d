/** Words that are told apart on the telephone: some sixty of each, and a number. */
const ADJECTIVES =
  'amber azure bold brave bright brisk calm clear coral crisp dawn deep early eager fair fleet fresh frosty gentle glad golden grand green happy honest humble ivory jolly keen kind late lively loyal lucky lunar mellow merry mild misty noble olive pearl plain polar proud quick quiet rapid ready royal rusty sandy silent silver smooth solar stark sunny swift tidal vivid warm wild young'.split(
    ' ',
  );
const ANIMALS =
  'ant badger bat bear beaver bee bison boar camel cat cobra cod crab crane crow deer dingo dove duck eagle eel elk falcon ferret finch fox frog gecko goat goose hare hawk hen heron horse ibex jay koala lark lion lynx mink mole moose moth mouse newt otter owl panda pony puma quail rabbit raven robin seal shark snail stork swan tiger toad wolf'.split(
    ' ',
  );

export const CODE_PATTERN = /^[a-z]+-[a-z]+-\d{1,2}$/;

/** A name for a run that one person tells another. It opens nothing: the host is asked. @param random a whole number below the one given */
export const newCode = (random: (below: number) => number): string =>
  `${ADJECTIVES[random(ADJECTIVES.length)]}-${ANIMALS[random(ANIMALS.length)]}-${random(100)}`;
