// A sensor node: a temperature that is measured and may be observed, and the interval of measuring, which may be set.
import { App, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'

let temperature = 21
let interval = 2

const app = new App().use(router()).use(coap({ port: Number(process.env['COAP_PORT'] ?? 5683) }))

app.get('/temperature', { rt: 'temperature-c', if: 'sensor', title: 'Room temperature' }, () => temperature.toFixed(1))
app.get('/interval', { if: 'parameter', title: 'Seconds between two measurements' }, () => String(interval))
app.put('/interval', async context => {
  const seconds = Number(await context.text())
  if (!(seconds >= 0.1 && seconds <= 3600)) throw new IopaError(422, 'bad-interval', 'Send a number of seconds from 0.1 to 3600.')
  interval = seconds
  clearTimeout(timer)
  measure()
})

let timer: NodeJS.Timeout
function measure(): void {
  temperature += Math.random() - 0.5
  app.notify('/temperature')
  timer = setTimeout(measure, interval * 1000)
}

const [listener] = await app.listen()
measure()
process.once('SIGINT', () => app.close().then(() => clearTimeout(timer)))
const url = listener!.url.href
console.log(`${url}

What it has   coap-client-notls -m get ${url}/.well-known/core
Read          coap-client-notls -m get ${url}/temperature
Watch         coap-client-notls -m get -s 20 ${url}/temperature
Set           coap-client-notls -m put -e 5 ${url}/interval`)
