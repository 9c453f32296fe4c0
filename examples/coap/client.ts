// The client of the sensor node: sees what it has, speeds it up, and prints five measurements.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'

const url = process.argv[2] ?? 'coap://127.0.0.1:5683'
const app = new App().use(coap())
const sensor = await app.connect(url, { timeout: 10_000 })

console.log(await (await sensor.get('/.well-known/core?rt=temperature-c')).text())

const answer = await sensor.put('/interval', '0.2', { type: 'text/plain' })
console.log(`interval: ${answer.status} ${answer.reason}`)

let measurements = 0
for await (const temperature of sensor.observe('/temperature')) {
  console.log(`${await temperature.text()} °C`)
  if (++measurements === 5) break
}

await sensor.close()
await app.close()
