// What the greenhouse is made of: the declarations that server, clients, documents and tests share.
import { collection, resource } from '@iopa/resource'
import { z } from 'zod'

const params = z.object({ id: z.string().max(32) })

export const bed = resource('/beds/{id}', {
  title: 'A bed',
  rt: 'bed',
  params,
  state: z.object({ moisture: z.number().min(0).max(100).describe('Percent'), temperature: z.number().min(-40).max(80).describe('Degrees Celsius') }),
  methods: { get: {}, put: {} }
})

export const beds = collection(bed, '/beds', { title: 'All beds', rt: 'bed-list' })

export const valve = resource('/valves/{id}', {
  title: 'The valve of a bed',
  rt: 'valve',
  params,
  state: z.object({ open: z.boolean() }),
  methods: { get: {}, put: {} }
})

export const valves = collection(valve, '/valves', { title: 'All valves', rt: 'valve-list' })

export const login = z.object({ name: z.string().max(64), password: z.string().max(256) })
