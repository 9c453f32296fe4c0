// A collector of readings that takes devices with a key alone, and a device: over DTLS, so nobody else reads or writes.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'

// In a real house each device has a random key of its own, which both sides read from a safe place.
const KEY = 'a key of sensor-1'
const port = Number(process.env['COAPS_PORT'] ?? 5684)
const readings = new Map<string, string>()

const collector = new App().use(router()).use(coap({ port, dtls: dtls({ psk: { 'sensor-1': Buffer.from(KEY) }, cid: true }) }))
collector.put('/reading', async context => {
  // Who it is was proven by the handshake: a device writes its own reading only.
  readings.set(context.user?.id ?? '', await context.text())
})
collector.get('/readings', () => Object.fromEntries(readings))
const [listener] = await collector.listen()

const device = new App().use(coap({ dtls: dtls({ psk: { 'sensor-1': Buffer.from(KEY) } }) }))
const client = await device.connect(listener!.url)
await client.put('/reading', '21.5', { type: 'text/plain' })
console.log(await (await client.get('/readings')).json())
await device.close()

console.log(`coap-client-openssl -u sensor-1 -k '${KEY}' ${listener!.url}/readings`)
