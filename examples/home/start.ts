// Serves the house on every protocol until it is interrupted.
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { bridge } from '@iopa/mqtt/bridge'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { home } from './home.ts'
import { simulate } from './simulation.ts'

const { env } = process
const { values } = parseArgs({ options: { simulate: { type: 'string', default: '0' } } })
const devices = Number(values.simulate)
if (!Number.isInteger(devices) || devices < 0 || devices > 1000) {
  console.error('--simulate takes a number of devices, up to 1000.')
  process.exit(2)
}
const host = env['HOST'] ?? '127.0.0.1'
const port = (name: string, standard: number): number => Number(env[name] ?? standard)
const ports = {
  http: port('HTTP_PORT', 8080),
  coap: port('COAP_PORT', 5683),
  mqtt: port('MQTT_PORT', 1883),
  tcp: port('TCP_PORT', 7000),
  udp: port('UDP_PORT', 7001)
}
const broker = env['MQTT_BROKER']
// A broker keeps what a worker has missed under its name, so the name must be the same after a restart.
const clientId = env['MQTT_CLIENT_ID'] ?? `home-${hostname()}-${ports.http}`

const app = home([
  http({ host, port: ports.http }),
  coap({ host, port: ports.coap }),
  broker === undefined ? mqtt({ host, port: ports.mqtt }) : mqtt({ broker: bridge(broker, { share: 'home', clientId }) }),
  tcp({ host, port: ports.tcp }),
  udp({ host, port: ports.udp })
])
// Before anything says that the house is open: a reader may interrupt it at once.
const stop = async (): Promise<void> => {
  await app.close({ timeout: 2000 })
  process.exit(0)
}
process.once('SIGINT', stop)
process.once('SIGTERM', stop)

await app.listen()

// A port of 0 lets the system choose one.
for (const { name, urls } of app.explain().transports) {
  if (name in ports && urls[0] !== undefined) ports[name as keyof typeof ports] = Number(new URL(urls[0]).port) || ports[name as keyof typeof ports]
}
const hall = '{"iopa.Method":"GET","iopa.Path":"/lights/hall","iopa.Observe":true,"iopa.Seq":1}'
const change = '{"iopa.Method":"PUT","iopa.Path":"/lights/hall","iopa.Body":{"on":true,"level":70}}'
console.log(`
The house is open: http://localhost:${ports.http}

Watch the light in the hall in one terminal, change it in another:

  HTTP   curl -N -H 'accept: text/event-stream' http://127.0.0.1:${ports.http}/lights/hall
         curl -X PUT -H 'content-type: application/json' -d '{"on":true,"level":40}' http://127.0.0.1:${ports.http}/lights/hall
         apt install curl, brew install curl
  CoAP   coap-client-notls -s 60 coap://127.0.0.1:${ports.coap}/lights/hall
         coap-client-notls -m put -t 50 -e '{"on":true,"level":50}' coap://127.0.0.1:${ports.coap}/lights/hall
         apt install libcoap3-bin, brew install libcoap
  MQTT   mosquitto_sub -p ${ports.mqtt} -t 'lights/#' -v${broker === undefined ? '' : `   (broker ${broker}; state is on state/lights/#)`}
         mosquitto_pub -p ${ports.mqtt} -t lights/hall -q 1 -m '{"on":true,"level":60}'
         apt install mosquitto-clients, brew install mosquitto
  TCP    (echo '${hall}'; sleep 60) | nc 127.0.0.1 ${ports.tcp}
         apt install netcat-openbsd, brew install netcat
  UDP    echo '${change}' | nc -u -w1 127.0.0.1 ${ports.udp}

Ctrl-C closes it.`)

if (devices > 0) {
  const ended = new AbortController()
  app.defer(() => ended.abort())
  const urls = app.explain().transports.flatMap(({ urls: [url] }) => (url === undefined ? [] : [url]))
  await simulate(app, urls, { count: devices, lights: ['hall', 'kitchen', 'porch'], signal: ended.signal })
}
