// What is compared with what, and under which load.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import findMyWay from 'find-my-way'
import koaCompose from 'koa-compose'
import { byHand, requests, state } from './contract.mjs'
import { request as everyday } from './everyday.mjs'
import { coapLoad, udpLoad } from './loads/datagrams.mjs'
import { httpLoad } from './loads/http.mjs'
import { mqttLoad } from './loads/mqtt.mjs'
import { tcpLoad } from './loads/tcp.mjs'

const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ a: 'x'.repeat(1000), b: [1, 2, 3] }) }
const light = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(state) }
const folder = mkdtempSync(join(tmpdir(), 'iopa-bench-'))
writeFileSync(join(folder, 'small.html'), `<!doctype html>${'x'.repeat(1024 - 15)}`)
writeFileSync(join(folder, 'big.bin'), Buffer.alloc(1 << 20, 'y'))

/** Suites of servers: `iopa` from servers/, the others from peers/<name>/, where there are any. */
export const serverSuites = {
  http: {
    ours: 'http.mjs',
    peers: 'http',
    baseline: 'node-http',
    cases: { 'GET /hello': httpLoad('/hello'), 'GET /users/:id among 30 routes': httpLoad('/users/7'), 'POST 1 KB of JSON': httpLoad('/echo', json) }
  },
  contract: {
    ours: 'contract.mjs',
    peers: 'contract',
    baseline: 'iopa-by-hand',
    cases: { 'GET with validated params': httpLoad('/lights/7'), 'PUT of a validated state': httpLoad('/lights/7', light) }
  },
  app: {
    ours: 'app.mjs',
    peers: 'app',
    baseline: 'fastify',
    cases: {
      'GET, everyday middleware in place': httpLoad('/lights/7', everyday()),
      'PUT, everyday middleware in place': httpLoad('/lights/7', everyday(light))
    }
  },
  coap: {
    ours: 'coap.mjs',
    peers: 'coap',
    baseline: 'node-coap',
    cases: { 'CON GET, 64 in flight': coapLoad('get'), 'CON PUT of 200 bytes, 64 in flight': coapLoad('put') }
  },
  mqtt: {
    ours: 'mqtt.mjs',
    peers: 'mqtt',
    baseline: 'aedes',
    cases: { 'QoS 0, window 8': mqttLoad(8, 0), 'QoS 0, window 1000': mqttLoad(1000, 0), 'QoS 1, window 100': mqttLoad(100, 1) }
  },
  'mqtt-route': {
    ours: 'mqtt-dispatch.mjs',
    baseline: 'iopa',
    cases: { 'QoS 0 to a route that publishes, window 100': mqttLoad(100, 0, { to: 'req', from: 'res' }) }
  },
  static: {
    ours: 'static.mjs',
    peers: 'static',
    baseline: 'sirv',
    options: { root: folder },
    cases: { '1 KB': httpLoad('/small.html'), '1 MB': httpLoad('/big.bin') }
  },
  tcp: {
    ours: 'tcp.mjs',
    peers: 'tcp',
    baseline: 'a-write-each',
    cases: { '64 messages of 64 bytes outstanding on each of 8 connections': tcpLoad(8, 64) }
  },
  udp: { ours: 'udp.mjs', peers: 'udp', baseline: 'node-dgram', cases: { '64 bytes, 64 in flight': udpLoad() } }
}

const routes = [
  '/',
  '/health',
  '/users',
  '/users/:id',
  '/users/:id/things/:thing',
  '/things/:id/properties/:name',
  '/sites/:site/floors/:floor/rooms/:room',
  '/files/*'
]
const paths = [
  ['/health'],
  ['/users/1234', 'id'],
  ['/users/1/things/2', 'thing'],
  ['/sites/hq/floors/3/rooms/312', 'room'],
  ['/files/a/b/c.pdf'],
  ['/nothing']
]
const each = find => count => {
  let hits = 0
  for (let at = 0; at < count; at++) {
    const [path, param] = paths[at % paths.length]
    if (find(path, param) !== undefined) hits++
  }
  return hits
}
const findMyWayOf = () => {
  const found = findMyWay()
  for (const route of routes) found.on('GET', route, () => undefined)
  return (path, param) => {
    const match = found.find('GET', path)
    return match === null ? undefined : param === undefined ? '' : match.params[param]
  }
}

const passing = {
  'await next()': () => async (_, next) => {
    await next()
  },
  'return next()': () => (_, next) => next()
}
const handler = async context => {
  context.hits = (context.hits ?? 0) + 1
}
const composed = make => build => {
  const ours = build(Array.from({ length: 10 }, make), handler)
  const theirs = koaCompose([...Array.from({ length: 10 }, make), handler])
  return {
    'iopa, a fresh context each': async count => {
      for (let at = 0; at < count; at++) {
        const context = ours.context()
        await ours.run(context)
        ours.end(context)
      }
    },
    'koa-compose, an empty object each': async count => {
      for (let at = 0; at < count; at++) await theirs({})
    }
  }
}

/** Suites of functions in one process: each case gets `build` of the module, which makes ours, and gives the contenders, of which the first is ours. */
export const microSuites = {
  router: {
    module: 'router.mjs',
    contenders: ['iopa', 'find-my-way'],
    baseline: 'find-my-way',
    cases: { 'eight routes, a mix': build => ({ iopa: each(build(routes)), 'find-my-way': each(findMyWayOf()) }) }
  },
  'contract-run': {
    module: 'contract.mjs',
    contenders: ['iopa', 'by hand'],
    baseline: 'by hand',
    cases: {
      'GET with validated params': build => ({ iopa: requests(build(), 'GET'), 'by hand': requests(byHand(), 'GET') }),
      'PUT of a validated state': build => ({ iopa: requests(build(), 'PUT'), 'by hand': requests(byHand(), 'PUT') })
    }
  },
  compose: {
    module: 'composer.mjs',
    contenders: ['iopa, a fresh context each', 'koa-compose, an empty object each'],
    baseline: 'koa-compose, an empty object each',
    cases: Object.fromEntries(Object.entries(passing).map(([name, make]) => [`ten layers that ${name}`, composed(make)]))
  },
  store: {
    module: 'store.mjs',
    contenders: ['store', 'a Map'],
    baseline: 'a Map',
    // Short turns, often: the quiet moments of a busy machine count.
    count: 2000,
    turns: 40,
    cases: {
      'GET through the pipeline, in memory': async build => (await build()).get,
      'PUT through the pipeline, in memory': async build => (await build()).put
    }
  },
  'store-disk': {
    module: 'store.mjs',
    contenders: ['PUT of a store on disk()', 'put() of the program', 'classic-level'],
    baseline: 'classic-level',
    count: 640,
    turns: 10,
    cases: { 'PUT acknowledged with sync, 64 in flight': async build => (await build()).disk }
  }
}
