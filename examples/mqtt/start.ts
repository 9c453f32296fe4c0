// An MQTT broker whose messages are requests: a thermostat per room is state of the app, every other topic is plain publish and subscribe.
import { App, IopaError } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'

const rooms = new Map([['hall', 21]])

const app = new App().use(router()).use(mqtt({ port: Number(process.env['MQTT_PORT'] ?? 1883) }))

app.get('/rooms/:room/target', { instances: () => [...rooms.keys()].map(room => `/rooms/${room}/target`) }, ({ params }) => {
  const target = rooms.get(params.room)
  if (target === undefined) throw new IopaError(404, 'no-room', `There is no room '${params.room}'.`)
  return { target }
})

app.put('/rooms/:room/target', async context => {
  const { target } = await context.json<{ target: number }>()
  if (!(target >= 5 && target <= 30)) throw new IopaError(422, 'bad-target', 'Send { "target": <5 to 30> }.')
  rooms.set(context.params.room, target)
})

process.once('SIGINT', () => app.close())
const [listener] = await app.listen()
const { port, href } = listener!.url
console.log(`${href}

Watch         mosquitto_sub -p ${port} -v -t '#'
Set           mosquitto_pub -p ${port} -q 1 -t rooms/hall/target -m '{"target":19}'
Be refused    mosquitto_pub -p ${port} -q 1 -V 5 -t rooms/hall/target -m '{"target":99}'
Plain         mosquitto_pub -p ${port} -r -t anything/else -m hello`)
