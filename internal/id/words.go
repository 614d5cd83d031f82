package id

// The words of client ids. A word is 3 to 10 lower-case letters, stands in one
// list only, and is neutral beside every word of the other list: nothing rude,
// nothing of politics, religion, the body, violence or disease, no brand. Words
// may be added and taken away; ids that were made from them stay valid.

const adjectives = `
able adept agile airy alert alpine amber ample apt arctic artful astute autumn aware azure
balanced balmy basic bold brave breezy brief bright brilliant brisk broad bubbly buoyant busy calm
candid capable careful caring casual cheerful clean clear clever cobalt compact complete content cool copper
coral cordial cosmic cosy crafty crimson crisp cubic curious curly custom daily dapper daring dazzling
decent deft diligent direct distant dotted dynamic eager early earnest elastic elegant emerald eminent endless
epic equal even exact expert fabled fair famous fancy fast festive fine fleet flexible floral
fluent flying fond formal fresh frosty frugal full gallant gentle genuine gifted glad gleaming global
glossy golden good graceful grand grateful great handy happy harmonic hasty hazy helpful hidden honest
hopeful humble ideal indigo inland inventive ivory jaunty jolly joyful joyous jubilant keen kind kindly
lasting lavish leafy level light lilac linear lively local lofty logical lovely loyal lucid lucky
lunar magic magnetic main major marine mellow merry mild mindful mint misty mobile modern modest
musical mutual narrow neat new nimble noble normal notable novel oaken open optimal orderly outdoor
patient peaceful pearly placid plain playful pleasant plucky poetic polar polite precise prompt proper quaint
quick quiet radiant rapid rare ready real regular relaxed reliable rich robust rosy round rural
rustic sandy scenic secure sensible serene sharp shiny silent silver simple sincere skilful sleek snug
sociable solar solid sparkling speedy splendid spry square stable steady stellar subtle sunlit sunny
super superb sure tall tame teal thankful thorough thrifty tidy timely tiny tranquil trim true
trusty unique upbeat upper urban useful valid valued vast velvet verbal vibrant vital vivid warm
wavy wide windy winged winter wise witty wonderful wooden worthy young zany zesty
`

const nouns = `
abacus acorn alcove almond anchor apple apricot arbour artist atlas aurora avenue badge bakery balcony
ballad bamboo banjo barley barn basil basin basket bay beacon bench birch biscuit blanket blossom
boat bonnet book bottle boulder bouquet branch bread breeze brook bucket buffet button cabin cactus
candle canoe canyon caravan carpet cascade castle cedar cello chair chalk chapter chart chestnut chorus
cinnamon circle citrus clarinet cliff clock cloud clover coast cobble cocoa comet concert copse cottage
crane crater creek cricket crystal cupboard current curtain cushion cypress daisy dawn desert desk diamond
dragonfly drawer drum dune easel eclipse elm ember engine falcon feather fern ferry festival field
finch fjord flask flute foam folder forest fossil fountain garden garland gazebo geyser glacier glade
globe goblet granite gravel grotto grove guitar hamlet hammock harbour harp harvest hazel heath hedge
heron hill hollow honey horizon igloo inlet island ivy jacket jasmine jetty jigsaw journal juniper
kayak kettle kite lagoon lake lantern larch lark lattice laurel lava lavender leaf ledger lemon
lens lentil library lichen lily lime linen loom lyre magnet mango mantle map maple marble
marigold market marsh meadow mesa meteor mill mirror mitten moon mosaic moss mountain museum nectar
needle notebook nutmeg oak oasis oat oboe ocean olive onion opal orchard orchid origami otter
oven paddle paint palette panda paper parade parcel parsley path pavilion peak pebble pencil pepper
piano picnic pigeon pillow pine planet plateau plaza plum poem pond poplar poppy porch postcard
potato prairie prism pumpkin puzzle quartz quilt quince rabbit radish raft rain rainbow raisin reed
reef ribbon ridge river road robin roof rosemary rowan ruby saddle saffron sage sail sandal
sapphire satchel saucer scarf school seagull season shadow shelf shore signal sketch sky sledge slope
snow sofa sonata sparrow spiral spring spruce squash squirrel stairs star statue stone story stream
summit sundial sunflower sunrise swan table tango tapestry tartan teapot tent terrace thimble thistle thyme
timber toast tomato topaz tower train trellis trumpet tulip tundra tunnel turnip turtle valley vanilla
vase village vine viola violin walnut waltz water wave wheat wheel whistle willow window wren
yacht yarn zebra zither
`
