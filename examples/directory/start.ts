// Starts the directory, and a device that registers at it and is asked back.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { directory } from './directory.ts'

const app = directory().use(coap({ port: Number(process.env['COAP_PORT'] ?? 5683), tcp: true }))
const [listener] = await app.listen()
const url = listener!.url.href
console.log(`${url}

What it has   coap-client-notls -m get ${url}/.well-known/core
Endpoints     coap-client-notls -m get ${url}/rd-lookup/ep
Temperatures  coap-client-notls -m get "${url}/rd-lookup/res?rt=temperature-c"
Ask back      coap-client-notls -m get ${url}/ask/porch/temperature
Register      coap-client-notls -m post -t 40 -e '</light>;rt=light' "${url}/rd?ep=lamp"`)

const device = new App().use(router())
device.get('/temperature', { rt: 'temperature-c' }, () => (18 + Math.random()).toFixed(1))
const porch = new App().use(coap())
const client = await porch.connect(url, { serve: device })
await client.post('/.well-known/rd?ep=porch&lt=600', undefined)
process.once('SIGINT', () => Promise.all([app.close(), porch.close(), device.close()]))
