// A process of its own for process-exit.test.ts, which bundles it: it does one thing, says so line by line, and ends when nothing keeps it.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { udp } from '@iopa/udp'

const [, , task = '', url = ''] = process.argv
const app = new App({ logger: false }).use(router()).use(memory()).use(http()).use(tcp()).use(udp()).use(coap())
if (url.startsWith('mqtt:')) app.use(mqtt({ statistics: false }))
const never = (): Promise<never> => new Promise(() => undefined)

const tasks: Readonly<Record<string, () => Promise<void>>> = {
  /** Observes until the state is `last`. */
  observe: async () => {
    const client = await app.connect(url)
    for await (const answer of client.observe('/state')) {
      const state = await answer.text()
      console.log(state)
      if (state === 'last') break
    }
    await client.close()
  },
  /** Waits for an answer that does not come. */
  request: async () => {
    const client = await app.connect(url, { timeout: 300 })
    await client.get('/silent').catch(error => console.log(error.code))
    await client.close()
  },
  /** Asks once and leaves its client open. */
  idle: async () => {
    const client = await app.connect(url)
    console.log(await (await client.get('/state')).text())
  },
  /** Closes an app of which a handler and a disposer never settle, and nothing else keeps the process. */
  close: async () => {
    const hung = new App({ logger: false, limits: { drainTimeout: 200 } }).use(memory({ name: 'hung' }))
    hung.use(context => {
      context.defer(never)
      return never()
    })
    await hung.listen()
    const client = await hung.connect('memory://hung', { timeout: 10_000 })
    client.get('/').catch(error => console.log(error.code))
    await new Promise(resolve => setTimeout(resolve, 50))
    await hung.close({ timeout: 100 })
    console.log('closed')
  }
}

await tasks[task]?.()
console.log('done')
