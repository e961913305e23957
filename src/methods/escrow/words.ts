/** Plain words: two of them stand in a code mail and on the page that waits for it, so that people see which code belongs where. */
import { randomInt } from 'node:crypto'

/** `blue otter`: an adjective and a thing; they prove nothing. */
export const newWords = (): string => `${pick(first)} ${pick(second)}`

const pick = (list: readonly string[]): string => list[randomInt(list.length)] ?? ''

const first = words(`
  amber blue bright bronze brown calm clear clever cold cool copper coral cosy crisp curly
  dark deep dry early easy even fair fast fine firm flat fresh gentle glad gold golden good grand gray
  great green happy high honest humble ivory jolly keen kind large late light lilac little long loud
  lucky merry mild misty modest narrow neat new nimble noble olive open orange pale patient pink plain
  polite proud pure purple quick quiet rapid red rich round royal ruby rustic salty sandy scarlet
  sharp short shy silent silver simple sleepy slim slow small smooth snowy soft solid spare spotted steady
  still strong sunny sweet swift tall tame tender tidy tiny violet warm white wide wild wise woven yellow young
`)

const second = words(`
  acorn almond anchor apple apron arch arrow aspen badger bakery bamboo banjo barley barn basil basket beach
  beacon bean bear beaver bee beech bell bench berry birch bird bishop boat bonfire book boot bottle boulder bowl bread bridge
  brook broom brush bucket button cabin cactus camel camera candle canoe canyon carpet carrot castle cedar cello chair
  cherry chess cider clock cloud clover coat cobbler comet compass cottage cricket crow cup curtain daisy deer desk dolphin donkey
  dove dragon drum duck eagle elm engine falcon feather fern ferry fiddle field finch fir flag flute forest fountain fox
  garden garlic gate ginger giraffe glove goat goose grape guitar hammer harbor hare harp hazel hedge heron hill honey
  horse island ivy jacket jug kettle kite kitten ladder lake lamp lantern lark laurel leaf lemon lily linen lion lobster
  loom magnet mango maple marble market meadow melon mill mirror mitten moon moss mountain mouse needle nest nutmeg oak oar ocean
  orchard otter owl oyster paddle palm panda paper parrot peach pear pearl pebble pencil penguin pepper piano pigeon pillow pine
  planet plum pocket pond pony poplar potato prairie puffin pumpkin quail quilt rabbit raft rain rake raven reed ribbon river
  robin rocket rose saddle salmon sandal scarf seal shell ship shoe shore shovel sky sleigh snail sparrow spoon spruce
  squirrel star stone stove stream swallow swan table tablet teapot thimble thistle tiger timber tower train tree trout tulip
  tunnel turtle umbrella valley vase village violin wagon walnut water whale wheat wheel willow window winter wolf wool wren
`)

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}
