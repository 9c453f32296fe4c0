// Serves the greenhouse on every protocol until it is interrupted.
import { randomBytes } from 'node:crypto'
import { hashPassword } from '@iopa/auth'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { greenhouse } from './greenhouse.ts'

const { env } = process
const host = env['HOST'] ?? '127.0.0.1'
const port = (name: string, standard: number): number => Number(env[name] ?? standard)
const secret = (bytes: number): string => randomBytes(bytes).toString('hex')

// Other passwords and keys each time: nobody can sign in with those of the documents.
const passwords = { gisela: secret(5), viktor: secret(5), olga: secret(5) }
const roles = { gisela: ['gardener'], viktor: ['visitor'], olga: ['operator'] }
const people = await Promise.all(
  (['gisela', 'viktor', 'olga'] as const).map(async id => ({ id, password: await hashPassword(passwords[id]), roles: roles[id] }))
)
const devices = ['herbs', 'tomatoes'].map(id => ({ id, key: secret(16) }))

const app = greenhouse(
  [
    http({ host, port: port('HTTP_PORT', 8080) }),
    coap({ host, port: port('COAP_PORT', 5683) }),
    mqtt({ host, port: port('MQTT_PORT', 1883) }),
    tcp({ host, port: port('TCP_PORT', 7000) }),
    udp({ host, port: port('UDP_PORT', 7001) })
  ],
  { people, devices, dashboard: env['DASHBOARD'] ?? 'https://dashboard.example' }
)
const stop = async (): Promise<void> => {
  await app.close({ timeout: 2000 })
  process.exit(0)
}
process.once('SIGINT', stop)
process.once('SIGTERM', stop)

await app.listen()

// A port of 0 lets the system choose one.
const portOf = (name: string): string => new URL(app.explain().transports.find(transport => transport.name === name)?.urls[0] ?? '').port
const [herbs] = devices
console.log(`
The greenhouse is open: http://localhost:${portOf('http')}

Sign in as a gardener (gisela, ${passwords.gisela}), a visitor (viktor, ${passwords.viktor}) or the operator (olga, ${passwords.olga}).
The device of the bed 'herbs' has the key ${herbs?.key}: report that the bed is dry, and its valve opens.

  CoAP   coap-client-notls -s 60 'coap://127.0.0.1:${portOf('coap')}/valves/herbs?key=${herbs?.key}'
         coap-client-notls -m put -t 50 -e '{"moisture":20,"temperature":22}' 'coap://127.0.0.1:${portOf('coap')}/beds/herbs?key=${herbs?.key}'
  MQTT   mosquitto_sub -p ${portOf('mqtt')} -u herbs -P ${herbs?.key} -t valves/herbs
         mosquitto_pub -p ${portOf('mqtt')} -u herbs -P ${herbs?.key} -t beds/herbs -q 1 -m '{"moisture":70,"temperature":21}'
  HTTP   curl -c jar -H 'content-type: application/json' -d '{"name":"olga","password":"${passwords.olga}"}' http://127.0.0.1:${portOf('http')}/session
         curl -b jar http://127.0.0.1:${portOf('http')}/metrics

Ctrl-C closes it.`)
