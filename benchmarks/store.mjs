// A store beside a Map that a handler keeps by hand, through the whole pipeline; and its disk beside bare classic-level, at the same batch size.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { store } from '@iopa/store'
import { disk } from '@iopa/store/disk'
import { ClassicLevel } from 'classic-level'
import { z } from 'zod'

const State = z.object({ on: z.boolean(), level: z.number().min(0).max(100) })
const light = resource('/lights/{id}', { params: z.object({ id: z.string().max(32) }), state: State, methods: { get: {}, put: {} } })
const ids = Array.from({ length: 1000 }, (_, at) => `light-${at}`)
const states = Array.from({ length: 101 }, (_, level) => ({ on: level > 0, level }))

const served = handlers => {
  const app = new App({ logger: false }).use(router()).use(resources({ answers: 'trust' }))
  app.serve(light, handlers)
  return app
}

/** Puts and gets documents one after another. */
const contender = app => {
  const put = async at => {
    const answer = await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': `/lights/${ids[at % 1000]}`, 'iopa.Body': states[at % 101] })
    if (!answer.ok) throw new Error(`PUT was answered with ${answer.status}`)
  }
  const get = async at => {
    const answer = await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': `/lights/${ids[at % 1000]}` })
    if (!answer.ok) throw new Error(`GET was answered with ${answer.status}`)
  }
  return { put, get }
}

const byHand = () => {
  const lights = new Map(ids.map(id => [id, states[0]]))
  return served({
    get: ({ params }) => lights.get(params.id),
    put: ({ params, input }) => {
      lights.set(params.id, input)
      return input
    }
  })
}

const kept = async options => {
  const lights = store(light, options)
  for (const id of ids) await lights.put(id, states[0])
  return served(lights)
}

const repeated = step => async count => {
  for (let at = 0; at < count; at++) await step(at)
}

const IN_FLIGHT = 64
const folder = name => join(mkdtempSync(join(tmpdir(), 'iopa-bench-')), name)

const abreast = step => async count => {
  let at = 0
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (at < count) await step(at++)
    })
  )
}

const level = async () => {
  const database = new ClassicLevel(folder('level'), { valueEncoding: 'view' })
  await database.open()
  const encoder = new TextEncoder()
  return async count => {
    for (let at = 0; at < count; at += IN_FLIGHT) {
      const batch = Array.from({ length: IN_FLIGHT }, (_, of) => ({
        type: 'put',
        key: `/lights/${ids[(at + of) % 1000]}`,
        value: encoder.encode(JSON.stringify({ version: at, changed: Date.now(), shape: 1, state: states[(at + of) % 101] }))
      }))
      await database.batch(batch, { sync: true })
    }
  }
}

/** Contenders of each case, made once. */
export const build = async () => {
  const memory = contender(await kept())
  const map = contender(byHand())
  const onDisk = contender(await kept({ storage: disk(folder('store')) }))
  const program = store(light, { storage: disk(folder('program')) })
  return {
    get: { store: repeated(memory.get), 'a Map': repeated(map.get) },
    put: { store: repeated(memory.put), 'a Map': repeated(map.put) },
    disk: {
      'PUT of a store on disk()': abreast(onDisk.put),
      'put() of the program': abreast(at => program.put(ids[at % 1000], states[at % 101])),
      'classic-level': await level()
    }
  }
}
