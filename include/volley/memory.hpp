/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_MEMORY_HPP
#define VOLLEY_MEMORY_HPP

/**
 * @file memory.hpp
 * A std::pmr::memory_resource as the allocator of a server or a table of peers.
 */

#include <cstddef>
#include <exception>
#include <memory_resource>

#include <volley/config.h>
#include <volley/error.hpp>

namespace volley
{

/**
 * config.allocator = &allocator; both outlive the server. Of a server the resource is one that
 * several threads may use at a time. What it throws is -ENOMEM to whoever wanted the memory.
 */
class resource_allocator : public volley_allocator
{
      public:
	explicit resource_allocator(std::pmr::memory_resource &resource) noexcept
	    : volley_allocator{ allocate_of, deallocate_of, &resource }
	{
	}

      private:
	static void *allocate_of(std::size_t n_bytes, std::size_t align_bytes, void *arg) noexcept
	{
		auto *resource = static_cast<std::pmr::memory_resource *>(arg);
		void *made = nullptr;

		detail::call_guarded([&] { made = resource->allocate(n_bytes, align_bytes); },
				     [](const std::exception_ptr &) {});
		return made;
	}

	static void deallocate_of(void *mem, std::size_t n_bytes, std::size_t align_bytes,
				  void *arg) noexcept
	{
		static_cast<std::pmr::memory_resource *>(arg)->deallocate(mem, n_bytes,
									  align_bytes);
	}
};

} // namespace volley

#endif
