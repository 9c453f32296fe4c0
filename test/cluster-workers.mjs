// Two workers of a cluster on the same ports, each with an observer; each says which lines it logged, and what its listeners did.
import cluster from 'node:cluster'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { udp } from '@iopa/udp'

if (cluster.isPrimary) {
  cluster.setupPrimary({ args: process.argv.slice(2) })
  for (let number = 0; number < 2; number++) cluster.fork().on('message', told => process.send(told))
} else {
  const coapPort = Number(process.argv[2])
  const warnings = []
  const logger = { error: () => undefined, warn: line => warnings.push(line), info: () => undefined, debug: () => undefined }
  const app = new App({ logger }).use(router()).use(http({ port: 0 })).use(mqtt({ port: 0 })).use(udp({ port: 0 }))
  app.get('/a', () => 'a')
  const [web, , datagrams] = await app.listen()
  const atStart = warnings.length
  for (let times = 0; times < 2; times++) {
    const stop = new AbortController()
    const answer = await fetch(new URL('/a', web.url), { headers: { accept: 'text/event-stream' }, signal: stop.signal })
    await answer.body.getReader().read()
    stop.abort()
  }
  const second = new App({ logger: false }).use(coap({ port: coapPort })).use(() => 'x')
  const refused = await second.listen().then(
    () => '',
    error => error.message
  )
  process.send({ warnings, atStart, port: datagrams.url.port, refused })
}
