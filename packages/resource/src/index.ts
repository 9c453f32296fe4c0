/**
 * Resources declared once: a schema for the parameters, the state and each method, enforced on every protocol.
 *
 * @example
 * export const light = resource('/lights/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })
 * const app = new App().use(router()).use(resources())
 * app.serve(light, { get: ({ params }) => lights.get(params.id), put: ({ params, input }) => lights.set(params.id, input) })
 */

export { historyContract as history } from '@iopa/transport'
export type { AtOptions, InProcess, Target } from './client/at.ts'
export { at } from './client/at.ts'
export type { CallOptions, ChangeOptions, MergePatch, MethodOptions, PatchOperation, ResourceClient, Tagged } from './client/client-types.ts'
export type { ResourceProblem } from './client/problems.ts'
export { isProblem } from './client/problems.ts'
export type { CollectionDefinition } from './collection.ts'
export { collection } from './collection.ts'
export type { DefinedTypes, MethodDefinition, ResourceDefinition } from './definition.ts'
export { resource } from './resource.ts'
export type { ResourceMethods, ResourceOptions } from './resources.ts'
export { resources } from './resources.ts'
export type { DefinedTwin, TwinDefinition, TwinMigration } from './twin.ts'
export { twin } from './twin.ts'
